"""The JSON Schema of the YAML, drawn from the models by our own hand: stable to the byte, whatever library draws.

Draft 7, which editors understand best. Every value may also be text with a `${VAR}` in it, and every key that has a
default may be null.
"""

import json
from typing import Any, Final

from sidecar.config.model import Config
from sidecar.config.section import Section, Shape, shapes, shown

_VARIABLE: Final = {"$ref": "#/definitions/variable"}
_HEAD: Final = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "title": "nacos-sidecar",
    "description": "The configuration file of nacos-sidecar.",
}


def schema_text() -> str:
    """What `nacos-sidecar schema` prints and `config/sidecar.schema.json` holds."""
    return json.dumps(_document(), indent=2, ensure_ascii=False) + "\n"


def _document() -> dict[str, Any]:
    definitions: dict[str, Any] = {}
    body = _section(Config, definitions)
    definitions["variable"] = {
        "type": "string",
        "pattern": r"\$\{",
        "description": "text with ${VAR} or ${VAR:-default} in it, replaced before the value is read",
    }
    return {**_HEAD, **body, "definitions": dict(sorted(definitions.items()))}


def _section(section: type[Section], definitions: dict[str, Any]) -> dict[str, Any]:
    fields = section.model_fields
    properties = {}
    for name, shape in shapes(section).items():
        info = fields[name]
        about: dict[str, Any] = {"description": info.description}
        if not info.is_required() and not isinstance(info.default, Section):
            about["default"] = shown(shape, info.default)
        options = _options(shape, definitions)
        if not info.is_required():
            options.append({"type": "null"})
        properties[name] = {**about, **(options[0] if len(options) == 1 else {"anyOf": options})}
    required = [name for name, info in fields.items() if info.is_required()]
    return {
        "type": "object",
        "properties": properties,
        **({"required": required} if required else {}),
        "additionalProperties": False,
    }


def _options(shape: Shape, definitions: dict[str, Any]) -> list[dict[str, Any]]:
    """The schemas of which a value has to meet one."""
    if shape.section is not None:
        return [_reference(shape.section, definitions)]
    if shape.items is not None:
        listed = {"type": "array", **({"minItems": 1} if shape.filled else {}), "items": _one(shape.items, definitions)}
        return [listed, *([{"type": "string"}] if shape.comma else [])]
    if shape.values is not None:
        return [{"type": "object", "additionalProperties": _one(shape.values, definitions)}]
    return _scalar(shape)


def _scalar(shape: Shape) -> list[dict[str, Any]]:
    kind = shape.kind
    schema = dict(kind.schema) if kind else {}
    quoted = _QUOTED.get(str(schema.get("type")))
    return [schema, *([quoted] if quoted else []), _VARIABLE]


_QUOTED: Final[dict[str, dict[str, Any]]] = {
    "integer": {"type": "string", "pattern": "^[0-9]+$"},
    "number": {"type": "string", "pattern": "^[0-9]+(\\.[0-9]+)?$"},
    "boolean": {"enum": ["true", "false"]},
}


def _one(shape: Shape, definitions: dict[str, Any]) -> dict[str, Any]:
    options = _options(shape, definitions)
    return options[0] if len(options) == 1 else {"anyOf": options}


def _reference(section: type[Section], definitions: dict[str, Any]) -> dict[str, Any]:
    if section.__name__ not in definitions:
        definitions[section.__name__] = {}
        definitions[section.__name__] = _section(section, definitions)
    return {"$ref": f"#/definitions/{section.__name__}"}
