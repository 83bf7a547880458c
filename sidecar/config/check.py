"""What `nacos-sidecar check` and `schema` print; the command line only prints it and exits."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NamedTuple

from sidecar.config.effective import effective_yaml
from sidecar.config.loading import load
from sidecar.config.report import ConfigError, Problem, as_json, as_text
from sidecar.config.schema import schema_text
from sidecar.exits import Exit

__all__ = ["Verdict", "check", "schema_text"]


class Verdict(NamedTuple):
    """Text for stdout and for stderr, and the exit code."""

    out: str
    err: str
    code: int


def check(
    path: Path | None,
    *,
    environ: Mapping[str, str],
    overrides: Mapping[str, str] = MappingProxyType({}),
    strict: bool = False,
    files: bool = False,
    format: Literal["text", "json"] = "text",  # noqa: A002 - the flag's name
    print_effective: bool = False,
) -> Verdict:
    """Judges a file without touching the network; raises `FlagError` on bad usage.

    Results go to stdout: the closing line, the JSON report, the effective YAML; problems in text go to stderr.
    """
    try:
        loaded = load(path, environ=environ, overrides=overrides, files=files)
    except ConfigError as error:
        return _refusal(error.problems, format)
    if strict and loaded.problems:
        return _refusal(loaded.problems, format)
    lines = "".join(f"{problem}\n" for problem in loaded.problems)
    done = f"{loaded.path}: ok: {len(loaded.config.services)} services, {len(loaded.problems)} warnings\n"
    if print_effective:
        return Verdict(effective_yaml(loaded.config), lines + done, Exit.OK)
    if format == "json":
        return Verdict(as_json(loaded.problems, ok=True), "", Exit.OK)
    return Verdict(done, lines, Exit.OK)


def _refusal(problems: Sequence[Problem], form: Literal["text", "json"]) -> Verdict:
    if form == "json":
        return Verdict(as_json(problems, ok=False), "", Exit.CONFIG)
    return Verdict("", as_text(problems), Exit.CONFIG)
