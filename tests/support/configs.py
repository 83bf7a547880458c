"""Configurations as short texts: loaded, or the lines that refuse them."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from sidecar.config import Config, ConfigError, Loaded, load

NOTHING: Mapping[str, str] = MappingProxyType({})
MINIMAL = "version: 1\nservices: [{name: orders}]\n"


def written(folder: Path, text: str) -> Path:
    """The path of a file with this text."""
    path = folder / "sidecar.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def loaded(
    folder: Path, text: str = MINIMAL, environ: Mapping[str, str] = NOTHING, overrides: Mapping[str, str] = NOTHING
) -> Loaded:
    """What the text loads as."""
    return load(written(folder, text), environ=environ, overrides=overrides)


def config(folder: Path, text: str = MINIMAL) -> Config:
    """The configuration in force."""
    return loaded(folder, text).config


def refusal(folder: Path, text: str, environ: Mapping[str, str] = NOTHING) -> list[str]:
    """The lines that refuse the text, without the folder; empty when it loads."""
    try:
        loaded(folder, text, environ)
    except ConfigError as error:
        return [str(problem).replace(f"{folder}/", "") for problem in error.problems]
    return []


def service(body: str) -> str:
    """A file with one service `orders` and these lines, each indented by hand from column 1."""
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    return f"version: 1\nservices:\n  - name: orders\n{lines}"
