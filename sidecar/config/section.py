"""One mapping of the YAML as a frozen model, and the shape of its fields for those who walk models.

A null where null has no meaning stands for the default: `listen: ${LISTEN:-}` and a section whose every line is
commented out are both ordinary.
"""

import functools
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic_core import core_schema

from sidecar.config.kinds import Kind
from sidecar.config.report import Loc


@dataclass(frozen=True, slots=True, eq=False)
class CommaList:
    """Lets a list be written as one text with commas."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        return core_schema.no_info_before_validator_function(self._split, handler(source))

    @staticmethod
    def _split(value: Any) -> Any:
        return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


@dataclass(frozen=True, slots=True, eq=False)
class AtLeastOne:
    """Refuses an empty list."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        schema: core_schema.CoreSchema = {**handler(source), "min_length": 1}
        return schema


@dataclass(frozen=True, slots=True)
class Shape:
    """What a field holds: a value of a kind, a section, a list of either, or a mapping of text to a kind."""

    nullable: bool = False
    kind: Kind | None = None
    section: "type[Section] | None" = None
    items: "Shape | None" = None
    values: "Shape | None" = None
    comma: bool = False
    filled: bool = False


class Section(BaseModel):
    """Base of every mapping: unknown keys are errors, nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _leave_out_meaningless_nulls(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        known = shapes(cls)
        kept = {}
        for key, value in values.items():
            shape = known.get(key)
            if value is None and shape is not None and not shape.nullable:
                continue
            kept[key] = None if value == "null" and shape is not None and _is_null(shape) else value
        return kept


def _is_null(shape: Shape) -> bool:
    """Whether a quoted `null` reads as null: not where any text would do."""
    return shape.nullable and not (shape.kind and shape.kind.textual)


@functools.cache
def shapes(section: type[Section]) -> Mapping[str, Shape]:
    """The shape of every field, in the order of declaration."""
    return {name: _shape(info.annotation, info.metadata) for name, info in section.model_fields.items()}


def _shape(annotation: Any, metadata: list[Any]) -> Shape:
    arguments = get_args(annotation)
    if get_origin(annotation) in {Union, types.UnionType} and type(None) in arguments:
        (inner,) = (one for one in arguments if one is not type(None))
        return replace(_annotated(inner), nullable=True)
    kind = next((one for one in metadata if isinstance(one, Kind)), None)
    if kind is not None:
        return Shape(kind=kind)
    if get_origin(annotation) is tuple:
        marks = {type(one) for one in metadata}
        return Shape(items=_annotated(arguments[0]), comma=CommaList in marks, filled=AtLeastOne in marks)
    if get_origin(annotation) is dict:
        return Shape(values=_annotated(arguments[1]))
    return Shape(section=annotation)


def _annotated(annotation: Any) -> Shape:
    metadata = getattr(annotation, "__metadata__", None)
    return _shape(annotation.__origin__, list(metadata)) if metadata else _shape(annotation, [])


def leaves(section: Section, loc: Loc = ()) -> Iterator[tuple[Loc, Shape, Any]]:
    """Every field that holds no section, at its place: `(loc, shape, value)`; services are not entered."""
    for name, shape in shapes(type(section)).items():
        value = getattr(section, name)
        if isinstance(value, Section):
            yield from leaves(value, (*loc, name))
        else:
            yield (*loc, name), shape, value


def shown(shape: Shape, value: Any) -> Any:
    """The value as the YAML would write it; secrets as `***`."""
    if value is None:
        return None
    if isinstance(value, Section):
        return {name: shown(inner, getattr(value, name)) for name, inner in shapes(type(value)).items()}
    if shape.items is not None:
        return [shown(shape.items, item) for item in value]
    if shape.values is not None:
        return {key: shown(shape.values, item) for key, item in value.items()}
    return shape.kind.show(value) if shape.kind else value
