"""A long JSON document read a piece at a time, so that the event loop turns meanwhile.

Why: five thousand hosts are two megabytes. The decoder takes them in one go, 20 ms in which no other thread runs either
(it holds the interpreter's lock), and whoever makes objects of them takes as long again. Nearly all of such a document
is one array; its elements are decoded one by one, and the rest, which is small, at once.
"""

import asyncio
import json
import re
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeVar

A_TURN = 100
"""Elements decoded before the loop turns: one to two milliseconds for hosts with a little metadata."""

T = TypeVar("T")

_decode = json.JSONDecoder().raw_decode
_TOO_DEEP = "nested too deeply"
_BLANK = r"[ \t\n\r]*"
_OPENS = re.compile(rf"{_BLANK}:{_BLANK}\[{_BLANK}")
_NEXT = re.compile(rf"{_BLANK},{_BLANK}")
_CLOSES = re.compile(rf"{_BLANK}(?=\])")


@dataclass(frozen=True, slots=True)
class Rest:
    """A document whose array was taken apart: what is left, and where in the text its elements stood."""

    document: Any
    start: int = 0
    end: int = 0


def decoded(text: str | bytes) -> Any:
    """Any document. Raises ValueError where it is none, or is nested as deeply as nobody means it."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError(_TOO_DEEP) from error


def begin(text: str, name: str) -> int | None:
    """Where the elements of the array `name` begin; None where that name does not occur just once, before an array."""
    key = f'"{name}"'
    found = _OPENS.match(text, text.find(key) + len(key)) if text.count(key) == 1 else None
    return found.end() if found else None


def pieces(text: str, name: str, take: Callable[[Any], None]) -> Generator[None, None, Rest]:
    """Decodes `text`, each element of the array `name` apart: it goes to `take`, and the array is empty in the rest.

    Yields after every `A_TURN` elements. A document without that array, or in which its name occurs twice, is decoded
    at once and as it is. Raises ValueError where it is no JSON; by then some elements may have been taken.
    """
    start = at = begin(text, name)
    if start is None or at is None:
        return Rest(decoded(text))
    taken, more = 0, not text.startswith("]", at)
    while more:
        if taken and not taken % A_TURN:
            yield
        element, at = _element(text, at)
        take(element)
        taken += 1
        if more := (comma := _NEXT.match(text, at)) is not None:
            at = comma.end()
    if (end := _CLOSES.match(text, at)) is None:
        raise json.JSONDecodeError("expected the end of the array", text, at)
    return without(text, start, end.end())


def without(text: str, start: int, end: int) -> Rest:
    """The document without the elements that stand there. Raises ValueError where that leaves no JSON."""
    return Rest(decoded(text[:start] + text[end:]), start, end)


def _element(text: str, at: int) -> tuple[Any, int]:
    """What stands there, and where it ends."""
    try:
        return _decode(text, at)
    except RecursionError as error:
        raise ValueError(_TOO_DEEP) from error


async def gradually(steps: Generator[None, None, T]) -> T:
    """Runs it to its end, a step a turn of the loop; what it returns."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result
        await asyncio.sleep(0)
