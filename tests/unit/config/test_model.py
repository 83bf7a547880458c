"""The whole surface against what ships beside it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from sidecar.config import load
from sidecar.config.model import Config
from sidecar.config.section import Section, shapes
from sidecar.config.service import Service, ServiceDefaults

EXAMPLES = Path(__file__).parents[3] / "config"


def sections(section: type[Section] = Config) -> Iterator[type[Section]]:
    yield section
    for shape in shapes(section).values():
        inner = shape.section or (shape.items.section if shape.items else None)
        if inner is not None:
            yield from sections(inner)


def test_every_key_has_a_description() -> None:
    """Editors and the reference have a phrase for each."""
    lacking = [
        (one.__name__, name) for one in sections() for name, info in one.model_fields.items() if not info.description
    ]
    assert lacking == []


@pytest.mark.parametrize("name", ["sidecar.example.yaml", "minimal.yaml", "static.yaml"])
def test_an_example_loads_without_a_warning(name: str) -> None:
    """What a user copies first is accepted as it is."""
    assert load(EXAMPLES / name, environ={}).problems == ()


def test_the_full_example_says_what_the_smallest_file_means() -> None:
    """Every key at its default is the same configuration as none of them."""
    full, least = (load(EXAMPLES / name, environ={}).config for name in ("sidecar.example.yaml", "minimal.yaml"))
    assert full == least


def test_the_full_example_has_every_key() -> None:
    """`static`, which excludes its neighbours, stands there as a comment."""
    text = (EXAMPLES / "sidecar.example.yaml").read_text()
    values = yaml.safe_load(text)
    assert absent(Config, values) == []
    assert absent(Service, values["services"][0]) == ["static"]
    assert "# static: [" in text


def absent(section: type[Section], values: dict[str, object]) -> list[str]:
    missing = []
    for name, shape in shapes(section).items():
        if name not in values:
            missing.append(name)
        elif (
            shape.section is not None
            and shape.section is not ServiceDefaults
            and isinstance(inner := values[name], dict)
        ):
            missing += absent(shape.section, inner)
    return missing
