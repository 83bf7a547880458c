"""YAML text to values and positions."""

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sidecar.config.report import At, Loc
from sidecar.config.source import MAX_NODES, Source, YamlError, parse


def reported(source: Source) -> list[tuple[int, int, str]]:
    return [(*position, finding.message) for finding, position in source.findings]


def failure(text: str) -> tuple[int, int, str]:
    with pytest.raises(YamlError) as caught:
        parse(text, {})
    return (*caught.value.position, caught.value.message)


PLAIN = [
    "1",
    "-3",
    "0",
    "1.5",
    "1e3",
    "true",
    "False",
    "yes",
    "on",
    "off",
    "~",
    "null",
    "a",
    "127.0.0.1:80",
    "10s",
    "''",
    '"5"',
]


@pytest.mark.parametrize("text", PLAIN)
def test_plain_words_read_as_yaml_1_1_reads_them(text: str) -> None:
    """The value is the one that the usual loader gives, so that what a usual dumper wrote reads as it was."""
    assert parse(f"k: {text}", {}).values == {"k": yaml.safe_load(text)}


@pytest.mark.parametrize("text", ["010", "22:10", "2026-01-31", "=", "0x10", "1_000", "<<"])
def test_what_looks_like_a_number_to_yaml_only_stays_text(text: str) -> None:
    """Octal, sexagesimal, dates and YAML's odd words are the text that was written."""
    assert parse(f"k: {text}", {}).values == {"k": text}


def test_a_variable_gets_its_type_after_it_is_put_in() -> None:
    """Plain text becomes a number or null; quoted text stays text."""
    source = parse('a: ${N}\nb: "${N}"\nc: ${E}\nd: 1${N}\ne: "$$5"', {"N": "80", "E": ""})
    assert source.values == {"a": 80, "b": "80", "c": None, "d": 180, "e": "$5"}


def test_keys_are_text_and_hold_no_variables() -> None:
    """A number as a key is its text; `${}` in a key is nothing special."""
    assert parse("1: a\n$x: b\ntrue: c", {}).values == {"1": "a", "$x": "b", "true": "c"}


def test_an_unset_variable_is_reported_where_it_stands() -> None:
    """Every one of them, and the rest is read on."""
    source = parse("a: ${X}\nb: [1, '${Y}']", {})
    assert source.values == {"a": None, "b": [1, None]}
    assert [(line, column) for line, column, _ in reported(source)] == [(1, 4), (2, 8)]


def test_the_first_of_two_equal_keys_counts() -> None:
    """The second is reported at its own place."""
    source = parse("a: 1\nb: 2\na: 3", {})
    assert source.values == {"a": 1, "b": 2}
    assert reported(source) == [(3, 1, "duplicate key 'a'")]


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("a: !x 1", 1, 4, "tags are not supported, got !x"),
        ("a: !!str 1", 1, 4, "tags are not supported"),
        ("!k a: 1", 1, 1, "tags are not supported"),
        ("a: &a {b: 1}\nc:\n  <<: *a", 3, 3, "merge keys (<<) are not supported"),
        ("{{ name }}: 1", 1, 2, "a key must be text"),
        ("? [1, 2]\n: 3", 1, 3, "a key must be text"),
    ],
)
def test_what_the_format_leaves_out_is_reported(text: str, line: int, column: int, message: str) -> None:
    """Tags, merge keys and keys that are no text, each at its own place."""
    (found,) = [one for one in reported(parse(text, {})) if message in one[2]][:1]
    assert found[0] == line
    assert found[1] in {column, column - 1}


def test_a_quoted_merge_key_is_an_ordinary_key() -> None:
    """Only the plain `<<` is YAML's."""
    assert parse('"<<": 1', {}).values == {"<<": 1}


def test_aliases_repeat_their_anchor() -> None:
    """An alias has the value of its anchor, and no anchor is no alias."""
    assert parse("a: &a [1, 2]\nb: *a", {}).values == {"a": [1, 2], "b": [1, 2]}
    assert failure("b: *a") == (1, 4, "alias *a has no anchor before it")
    assert failure("a: &a [*a]")[2] == "alias *a has no anchor before it"


def test_aliases_cannot_multiply_without_bound() -> None:
    """What an alias stands for counts each time it is used."""
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert failure("\n".join(lines))[2] == f"more than {MAX_NODES} values"


def test_nesting_has_a_bound() -> None:
    """A file made of brackets is refused, not crashed upon."""
    assert failure("[" * 500 + "]" * 500)[2] == "nested deeper than 64 levels"


def test_size_has_a_bound() -> None:
    """One value too many is refused at its place."""
    assert failure("[" + "1," * MAX_NODES + "1]")[2] == "more than 100000 values"


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("a: {b: ${X}}", 1, 9, 'a variable needs quotes: "${NAME}"'),
        ("a:\n\tb: 1", 2, 1, "indent with spaces"),
        ("a: b: c", 1, 5, "quote text that contains ': '"),
        ("a: 1\nb: \x01", 2, 4, "control characters are not allowed"),
        ("a: 1\n---\nb: 2", 2, 1, "several documents in one file"),
        ("a: [1", 2, 1, "not valid YAML"),
        ("%YAML 3.0\n---\na: 1", 1, 1, "not valid YAML"),
    ],
)
def test_what_is_no_yaml_is_said_with_a_way_out(text: str, line: int, column: int, message: str) -> None:
    """Position and remedy of a syntax error."""
    found = failure(text)
    assert found[:2] == (line, column)
    assert message in found[2]


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n"])
def test_an_empty_file_has_no_values(text: str) -> None:
    """It is read as a mapping without keys, or as null after a bare `---`."""
    assert not parse(text, {}).values


def test_positions_of_what_is_missing_are_those_around_it() -> None:
    """The nearest mapping or list stands in for a value that is not there."""
    source = parse("a:\n  - b: 1\n    c: 2", {})
    assert source.position(("a", 0, "c")) == (3, 8)
    assert source.position(("a", 0, "c"), At.KEY) == (3, 5)
    assert source.position(("a", 0, "d"), At.KEY) == (2, 5)
    assert source.position(("a", 7)) == (2, 3)
    assert source.position(("x", "y")) == (1, 1)


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.integers(-99, 99)
    | st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), max_size=8)
    | st.booleans()
    | st.none()
    | st.floats(-1e6, 1e6).map(lambda x: round(x, 3)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc<é😀 ", max_size=4), inner, max_size=3),
    max_leaves=12,
)


def scalars(value: Any, loc: Loc = ()) -> list[tuple[Loc, Any]]:
    if isinstance(value, dict):
        return [leaf for key, inner in value.items() for leaf in scalars(inner, (*loc, key))]
    if isinstance(value, list):
        return [leaf for index, inner in enumerate(value) for leaf in scalars(inner, (*loc, index))]
    return [(loc, value)]


@given(values=st.dictionaries(st.text("abc", min_size=1, max_size=3), VALUES, max_size=4), flow=st.booleans())
def test_every_value_is_found_where_it_stands(values: dict[str, Any], *, flow: bool) -> None:
    """Written in block or flow style, all values come back, and the text at each position reads as that value."""
    escaped = json.loads(json.dumps(values).replace("$", "$$"))
    text = yaml.safe_dump(escaped, allow_unicode=True, default_flow_style=flow, width=1000, sort_keys=False)
    source = parse(text, {})
    assert source.values == values
    lines = text.split("\n")
    for loc, value in scalars(source.values):
        if isinstance(value, int | bool | float):
            line, column = source.position(loc)
            written = lines[line - 1][column - 1 :]
            assert written.startswith(yaml.safe_dump(value).splitlines()[0])
