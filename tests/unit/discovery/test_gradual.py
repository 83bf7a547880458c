"""A long document, a piece at a time."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sidecar.discovery.gradual import A_TURN, gradually, pieces

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False) | st.text('ho"st\\]s[,: é', max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["hosts", "a", ""]), inner, max_size=3),
    max_leaves=6,
)
BLANKS = st.text(" \t\n\r", max_size=2)
DOCUMENTS = st.builds(
    lambda before, hosts, after: {**before, "serviceInfo": {"name": "orders", "hosts": hosts, **after}},
    st.dictionaries(st.sampled_from(["a", "b"]), VALUES, max_size=2),
    st.lists(VALUES, max_size=5) | VALUES,
    st.dictionaries(st.sampled_from(["c", "d"]), VALUES, max_size=2),
)


def whole(text: str) -> Any:
    """What the pieces make, put together again."""
    taken: list[Any] = []
    steps = pieces(text, "hosts", taken.append)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            rest = end.value
            break
    assert rest.document == json.loads(text[: rest.start] + text[rest.end :])
    return _filled(rest.document, taken) if taken else rest.document


def _filled(value: Any, taken: list[Any]) -> Any:
    if isinstance(value, dict):
        return {k: taken if k == "hosts" and v == [] else _filled(v, taken) for k, v in value.items()}
    return [_filled(one, taken) for one in value] if isinstance(value, list) else value


@given(DOCUMENTS, st.sampled_from([None, 2]), BLANKS, BLANKS)
def test_the_pieces_are_the_document(document: Any, indent: int | None, comma: str, colon: str) -> None:
    """However it is written, whatever else is in it, even more arrays of that name."""
    text = json.dumps(document, indent=indent, separators=(f"{comma},{comma}", f"{colon}:{colon}"))
    assert whole(text) == json.loads(text)


@given(st.lists(st.dictionaries(st.sampled_from("ab"), st.integers(0, 9), max_size=2), max_size=4), st.data())
@example([{"a": 1}], None)
def test_what_is_no_document_is_refused(hosts: list[Any], data: st.DataObject | None) -> None:
    """With any one character missing or doubled, it is read as the plain decoder reads it, or not at all."""
    text = json.dumps({"hosts": hosts, "n": 1})
    at = data.draw(st.integers(0, len(text) - 1)) if data else text.index("]")
    for broken in (text[:at] + text[at + 1 :], text[:at] + text[at] + text[at:]):
        try:
            wanted = json.loads(broken)
        except ValueError:
            with pytest.raises(ValueError):  # noqa: PT011 - any of them will do
                whole(broken)
        else:
            assert whole(broken) == wanted


@pytest.mark.parametrize("hosts", ["[1,]", "[,1]", "[1 2]", "[1", "[", "[1]]", "[1}"])
def test_an_array_that_is_none_is_refused(hosts: str) -> None:
    """Nothing of it counts as a list that is complete."""
    with pytest.raises(ValueError):  # noqa: PT011 - as above
        whole(f'{{"hosts":{hosts},"n":1}}')


@pytest.mark.parametrize("text", ["%s", '{"hosts": [%s]}', '{"hosts": [], "n": %s}'])
def test_what_nobody_can_mean_is_refused_as_no_document(text: str) -> None:
    """Nested a hundred thousand deep: as any other text that is none, not as an error of the interpreter's."""
    with pytest.raises(ValueError, match="nested too deeply"):
        whole(text % ("[" * 100_000 + "]" * 100_000))


def test_no_step_takes_more_than_a_turn() -> None:
    """Of a thousand elements a hundred at a time; of a hundred all of them, without a pause."""
    taken: list[int] = []
    counts = [len(taken) for _ in pieces(json.dumps({"hosts": list(range(1000))}), "hosts", taken.append)]
    assert counts == list(range(A_TURN, 1000, A_TURN))
    assert list(pieces(json.dumps({"hosts": list(range(A_TURN))}), "hosts", taken.append)) == []


async def test_the_loop_turns_between_pieces() -> None:
    """Somebody else has a turn after every hundred elements."""
    turns = 0

    def turn() -> None:
        nonlocal turns
        turns += 1
        asyncio.get_running_loop().call_soon(turn)

    asyncio.get_running_loop().call_soon(turn)
    taken: list[int] = []
    rest = await gradually(pieces(json.dumps({"hosts": list(range(1000)), "n": 1}), "hosts", taken.append))
    assert (rest.document, taken) == ({"hosts": [], "n": 1}, list(range(1000)))
    assert turns >= 1000 / A_TURN - 1
