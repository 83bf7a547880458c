"""What the models refuse, in sentences: the value, what was expected, and the way out."""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from sidecar.config.kinds import Kind
from sidecar.config.model import Config
from sidecar.config.report import At, Finding, Loc, did_you_mean
from sidecar.config.section import Section, Shape, shapes
from sidecar.config.source import Source

_LONGEST_QUOTE: Final = 60

_USER: Final = re.compile(r"(?<=//)[^/?#]*@")
"""User and password in a URL, which some write where an address is expected."""

_STRUCTURE: Final = {
    "model_type": "a mapping of keys",
    "dict_type": "a mapping of keys",
    "tuple_type": "a list",
}

_LEAST = "version: 1, and services: [{name: NAME}]"
"""A configuration that serves."""


def explain(error: ValidationError, source: Source) -> Iterator[Finding]:
    """One finding an error; keys missing from the same mapping share one."""
    details = error.errors(include_url=False)
    yield from _missing(detail["loc"] for detail in details if detail["type"] == "missing")
    for detail in details:
        if detail["type"] == "extra_forbidden":
            yield Finding(detail["loc"], _unknown(detail["loc"]), At.KEY)
        elif detail["type"] == "too_short" and not detail["input"]:
            yield Finding(detail["loc"], "expected at least one entry, got an empty list")
        elif detail["type"] in _STRUCTURE or detail["type"] == "expected":
            yield Finding(detail["loc"], _mismatch(detail, source))


def _missing(locs: Iterable[Loc]) -> Iterator[Finding]:
    lacking: dict[Loc, list[str]] = {}
    for loc in locs:
        lacking.setdefault(loc[:-1], []).append(f"'{loc[-1]}'")
    for loc, names in lacking.items():
        related = tuple((*loc, name.strip("'")) for name in names)
        message = f"missing required key{'s' * (len(names) > 1)} {', '.join(names)}"
        yield Finding(loc, message if loc else f"{message}; the least is {_LEAST}", related=related)


def _unknown(loc: Loc) -> str:
    key = str(loc[-1])
    section = _section(loc[:-1])
    if section is None:
        return f"unknown key '{key}'"
    known = shapes(section)
    near = did_you_mean(key, known.keys()) or _deeper(key, section)
    return f"unknown key '{key}'" + (near or f" (known here: {', '.join(known)})")


def _deeper(key: str, section: type[Section]) -> str:
    """Points to a key of this name one level down."""
    for name, shape in shapes(section).items():
        if shape.section is not None and key in shapes(shape.section):
            return f" (did you mean '{name}.{key}'?)"
    return ""


def _mismatch(detail: ErrorDetails, source: Source) -> str:
    context = detail.get("ctx", {})
    kind: Kind | None = context.get("kind")
    shape = _shape(detail["loc"])
    expected = context.get("expects") or _STRUCTURE[detail["type"]]
    if shape is not None and shape.nullable:
        expected += ", or null"
    value = detail["input"]
    if kind is not None and kind.secret:
        return f"expected {expected}: put it in quotes"
    return f"expected {expected}, got {_shown(value, source, detail['loc'])}{_remedy(value, kind)}"


def _remedy(value: Any, kind: Kind | None) -> str:
    if kind is None:
        return ""
    if kind.textual and isinstance(value, bool | int | float):
        return ": put it in quotes"
    return did_you_mean(value, kind.words) if isinstance(value, str) else ""


def _shown(value: Any, source: Source, loc: Loc) -> str:
    if value is None:
        return "null"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str):
        value = _USER.sub("***@", value)
        return repr(value if len(value) <= _LONGEST_QUOTE else value[:_LONGEST_QUOTE] + "…")
    node = source.node(loc)
    return node.text if node is not None and node.text else str(value)


def _section(loc: Loc) -> type[Section] | None:
    shape = _shape(loc)
    return shape.section if shape is not None else None


def _shape(loc: Loc) -> Shape | None:
    """The shape of the field at this place; None where the models know none."""
    found: Shape | None = Shape(section=Config)
    for step in loc:
        if found is None:
            return None
        inside = found.section
        found = shapes(inside).get(str(step)) if inside else found.items or found.values
    return found
