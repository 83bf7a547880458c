"""The types of single values: what is accepted, how it is said when it is not, drawn as JSON Schema, written back.

A kind stands in a field's annotation. Its `parse` raises `ValueError` with what was expected; text that reads as the
value is accepted, because variables inside `[…]` and `{…}` have to be quoted.
"""

import enum
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import SecretStr, ValidationInfo
from pydantic_core import PydanticCustomError, core_schema

from sidecar.cluster.policy import AllButOne, HostHeader, Range, Share
from sidecar.config import address, units
from sidecar.config.interpolation import escape
from sidecar.durations import duration, duration_text

_TEXT: Final = re.compile(r"[^\x00-\x1f\x7f]+")
_NUMBER: Final = re.compile(r"[0-9]{1,15}(\.[0-9]{1,15})?")
_PERCENT: Final = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?)%")
_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_SERVICE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_HOST: Final = re.compile(
    r"(\*\.)?[A-Za-z0-9_]([A-Za-z0-9._-]{0,253}[A-Za-z0-9_])?(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?"
)

Json = Mapping[str, Any]


def _itself(value: Any) -> Any:
    return value


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Kind:
    """One type of value; `textual` ones tell whoever wrote a number or a boolean to quote it."""

    name: str
    parse: Callable[[Any], Any]
    schema: Json
    show: Callable[[Any], Any] = _itself
    words: tuple[str, ...] = ()
    textual: bool = False
    secret: bool = False

    def validate(self, value: Any, info: ValidationInfo) -> Any:
        """The parsed value, or the one error type that `explain` turns into a sentence."""
        try:
            return self.read(value, info.context)
        except ValueError as error:
            raise PydanticCustomError("expected", "{expects}", {"expects": str(error), "kind": self}) from error

    def read(self, value: Any, _folder: Path | None) -> Any:
        """As `parse`; kinds that are relative to the file's folder override it."""
        return self.parse(value)

    def __get_pydantic_core_schema__(self, _source: object, _handler: object) -> core_schema.CoreSchema:
        return core_schema.with_info_plain_validator_function(self.validate)


class PathKind(Kind):
    """A path; relative ones start at the folder of the configuration file."""

    __slots__ = ()

    def read(self, value: Any, folder: Path | None) -> Any:
        return (folder or Path()) / self.parse(value)


class OutputKind(PathKind):
    """One of a few words, or the text of a path."""

    __slots__ = ()

    def read(self, value: Any, folder: Path | None) -> Any:
        return value if value in self.words else str(super().read(value, folder))


def _matching(pattern: re.Pattern[str], expected: str) -> Callable[[Any], str]:
    def parse(value: Any) -> str:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise ValueError(expected)
        return value

    return parse


def _text_schema(pattern: re.Pattern[str]) -> Json:
    return {"type": "string", "pattern": f"^(?:{pattern.pattern})$"}


def words(*choices: str) -> Kind:
    """One of these words, as text."""
    return Kind(name="word", parse=_choice(choices), schema=_enumeration(choices), words=choices)


def members(of: type[enum.Enum]) -> Kind:
    """A member of an enumeration, by its value."""
    choices = tuple(str(member.value) for member in of)
    choose = _choice(choices)
    return Kind(
        name="word",
        parse=lambda value: of(choose(value)),
        schema=_enumeration(choices),
        show=lambda member: _yaml_word(member.value),
        words=choices,
    )


def _choice(choices: tuple[str, ...]) -> Callable[[Any], str]:
    expected = one_of(choices)

    def parse(value: Any) -> str:
        word = str(value) if type(value) is int else value
        if word not in choices:
            raise ValueError(expected)
        return str(word)

    return parse


def one_of(choices: tuple[str, ...]) -> str:
    """`a, b or c`."""
    return " or ".join(filter(None, (", ".join(choices[:-1]), choices[-1])))


def _enumeration(choices: tuple[str, ...]) -> Json:
    return {"enum": [int(word) for word in choices if word.isdigit()] + list(choices)}


def _yaml_word(word: str) -> str | int:
    return int(word) if word.isdigit() else word


def whole(low: int, high: int | None = None) -> Kind:
    """A whole number from `low` to `high`."""
    expected = f"a whole number from {low} to {high}" if high is not None else f"a whole number of at least {low}"

    def parse(value: Any) -> int:
        number = int(value) if isinstance(value, str) and re.fullmatch(r"[0-9]{1,15}", value) else value
        if type(number) is not int or number < low or (high is not None and number > high):
            raise ValueError(expected)
        return number

    bounds = {"minimum": low} | ({} if high is None else {"maximum": high})
    return Kind(name="number", parse=parse, schema={"type": "integer", **bounds})


def number(low: float, high: float | None = None) -> Kind:
    """Any number from `low` to `high`."""
    expected = f"a number from {low:g} to {high:g}" if high is not None else f"a number of at least {low:g}"
    top = 1e15 if high is None else high

    def parse(value: Any) -> float:
        found = float(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else value
        if type(found) not in {int, float} or not low <= found <= top:
            raise ValueError(expected)
        return float(found)

    return Kind(
        name="number",
        parse=parse,
        schema={"type": "number", "minimum": low, "maximum": top},
        show=lambda value: int(value) if value.is_integer() else value,
    )


def _boolean(value: Any) -> bool:
    found = {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value
    if not isinstance(found, bool):
        raise ValueError("true or false")  # noqa: TRY004 - the one error that `validate` knows
    return found


def _head_size(value: Any) -> int:
    found = units.size(value)
    if not 1 << 10 <= found <= 1 << 20:
        raise ValueError("a size from 1KiB to 1MiB")
    return found


def _secret(value: Any) -> SecretStr:
    if not isinstance(value, str) or not value:
        raise ValueError("text")
    return SecretStr(value)


def _max_ejected(value: Any) -> AllButOne | int | Share:
    if value == AllButOne.ALL_BUT_ONE.value:
        return AllButOne.ALL_BUT_ONE
    if isinstance(value, str) and (share := _PERCENT.fullmatch(value)) and float(share[1]) <= 100:
        return Share(float(share[1]))
    try:
        return int(whole(0).parse(value))
    except ValueError:
        raise ValueError("all-but-one, a whole number of at least 0, or a share such as '50%'") from None


def _max_ejected_shown(value: AllButOne | int | Share) -> str | int:
    if isinstance(value, AllButOne):
        return value.value
    return f"{value.percent:g}%" if isinstance(value, Share) else value


def _host_header(value: Any) -> HostHeader | str:
    if not isinstance(value, str) or not re.fullmatch(r"[\x21-\x7e]+", value):
        raise ValueError("preserve, endpoint or the text to send")
    return next((word for word in HostHeader if word.value == value), value)


def _version(value: Any) -> int:
    if value != "1" and (type(value) is not int or value != 1):
        raise ValueError("1, the only version of this format")
    return 1


def is_host(text: str) -> bool:
    """Whether a text can stand in `hosts`."""
    return _HOST.fullmatch(text) is not None


_DURATION_SCHEMA: Final[Json] = {"type": "string", "pattern": "^[0-9]+(\\.[0-9]+)?(us|ms|s|m|h)$"}
_ADDRESS_SCHEMA: Final[Json] = {"type": "string", "pattern": "^(\\[[0-9A-Fa-f:.%A-Za-z]+\\]|[^\\[\\]:]+):[0-9]{1,5}$"}
_PATH_PATTERN: Final = re.compile(r"[^\x00]+")

DURATION: Final = Kind(name="duration", parse=duration, schema=_DURATION_SCHEMA, show=duration_text)
DURATION_OR_ZERO: Final = Kind(
    name="duration",
    parse=lambda value: duration(value, zero=True),
    schema=_DURATION_SCHEMA,
    show=duration_text,
)
BACKOFF: Final = Kind(
    name="range",
    parse=units.backoff,
    schema={"type": "string", "pattern": "^[0-9.]+(us|ms|s|m|h)\\.\\.[0-9]+(\\.[0-9]+)?(us|ms|s|m|h)$"},
    show=units.backoff_text,
)
SIZE: Final = Kind(
    name="size",
    parse=units.size,
    schema={"type": "string", "pattern": "^[0-9]+(B|KiB|MiB)$"},
    show=units.size_text,
)
HEAD_SIZE: Final = Kind(
    name="size", parse=_head_size, schema={"type": "string", "pattern": "^[0-9]+(B|KiB|MiB)$"}, show=units.size_text
)
BOOLEAN: Final = Kind(name="boolean", parse=_boolean, schema={"type": "boolean"})
TEXT: Final = Kind(
    name="text", parse=_matching(_TEXT, "text"), schema={"type": "string", "minLength": 1}, show=escape, textual=True
)
ANY_TEXT: Final = Kind(
    name="any_text",
    parse=_matching(re.compile(r"[^\x00-\x1f\x7f]*"), "text"),
    schema={"type": "string"},
    show=escape,
    textual=True,
)
SECRET: Final = Kind(
    name="secret",
    parse=_secret,
    schema={"type": "string", "minLength": 1},
    show=lambda _: "***",
    textual=True,
    secret=True,
)
HEADER: Final = Kind(
    name="header",
    parse=_matching(_HEADER, "the name of a header field, such as x-draining"),
    schema=_text_schema(_HEADER),
    show=escape,
    textual=True,
)
SERVICE_NAME: Final = Kind(
    name="service_name",
    parse=_matching(_SERVICE, "a name of letters, digits, '.', '_' and '-', at most 63 of them"),
    schema=_text_schema(_SERVICE),
    textual=True,
)
HOST: Final = Kind(
    name="host",
    parse=_matching(_HOST, "a host such as orders, orders:8080 or '*.orders.local'"),
    schema=_text_schema(_HOST),
    textual=True,
)
ADDRESS: Final = Kind(name="address", parse=address.listen_address, schema=_ADDRESS_SCHEMA, show=str)
REMOTE: Final = Kind(name="address", parse=address.remote_address, schema=_ADDRESS_SCHEMA, show=str)
SERVER: Final = Kind(name="server", parse=address.server_address, schema={"type": "string", "minLength": 1}, show=str)
PATH: Final = PathKind(
    name="path",
    parse=_matching(_PATH_PATTERN, "a path"),
    schema={"type": "string", "minLength": 1},
    show=lambda path: escape(str(path)),
    textual=True,
)
OUTPUT: Final = OutputKind(
    name="output",
    parse=_matching(_PATH_PATTERN, "stdout, stderr, none or a path"),
    schema={"type": "string", "minLength": 1},
    show=lambda path: escape(str(path)),
    words=("stdout", "stderr", "none"),
    textual=True,
)
RATIO: Final = replace(number(0, 1), name="ratio", show=_itself)
VERSION: Final = Kind(name="version", parse=_version, schema={"enum": [1, "1"]})
MAX_EJECTED: Final = Kind(
    name="max_ejected",
    parse=_max_ejected,
    schema={
        "anyOf": [
            {"const": "all-but-one"},
            {"type": "integer", "minimum": 0},
            {"type": "string", "pattern": "^[0-9]+(\\.[0-9]+)?%?$"},
        ]
    },
    show=_max_ejected_shown,
)
HOST_HEADER: Final = Kind(
    name="host_header",
    parse=_host_header,
    schema={"type": "string", "pattern": "^[!-~]+$"},
    show=lambda value: escape(value.value if isinstance(value, HostHeader) else value),
    textual=True,
)

Duration = Annotated[float, DURATION]
DurationOrZero = Annotated[float, DURATION_OR_ZERO]
Backoff = Annotated[Range, BACKOFF]
Size = Annotated[int, SIZE]
Ratio = Annotated[float, RATIO]
Boolean = Annotated[bool, BOOLEAN]
Text = Annotated[str, TEXT]
AnyText = Annotated[str, ANY_TEXT]
Secret = Annotated[SecretStr, SECRET]
Header = Annotated[str, HEADER]
Host = Annotated[str, HOST]
Listen = Annotated[address.Address, ADDRESS]
Remote = Annotated[address.Address, REMOTE]
Server = Annotated[address.Address, SERVER]
File = Annotated[Path, PATH]
