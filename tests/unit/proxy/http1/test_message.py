"""The grammar of field lines."""

import pytest

from sidecar.proxy.http1.message import (
    first_value,
    is_length,
    members,
    noting,
    parted,
    removable,
    spelled,
    strict_block,
    without,
)

BLOCK = b"\r\nA: 1\r\nab: 2 \r\na:3\r\nB: A: 4\r\n"


def test_a_field_is_found_by_its_whole_name() -> None:
    """In any case, at the start of a line only, and without the spaces around its value."""
    assert first_value(BLOCK, b"a") == b"1"
    assert first_value(BLOCK, b"AB") == b"2"
    assert first_value(BLOCK, b"c") is None


def test_cutting_a_field_leaves_a_block() -> None:
    """All lines of that name go, and nothing else changes."""
    assert without(BLOCK, {b"a"}) == b"\r\nab: 2 \r\nB: A: 4\r\n"
    assert without(BLOCK, {b"c"}) == BLOCK
    assert without(BLOCK, {b"a", b"ab", b"b"}) == b"\r\n"


def test_names_with_signs_are_taken_literally() -> None:
    """A name never acts as a pattern."""
    assert first_value(b"\r\nXay: 1\r\nX.y: 2\r\n", b"x.y") == b"2"
    assert spelled(b"a-1") == rb"[Aa]\-1"


def test_noting_finds_names_and_a_prefix() -> None:
    """Each line whole, to be cut or parted into name and value."""
    found = noting([b"host"], prefix=b"x-sidecar-").findall(b"\r\nHost: a\r\nHosts: b\r\nX-Sidecar-Error:c \r\n")
    assert found == [b"\nHost: a\r", b"\nX-Sidecar-Error:c \r"]
    assert [parted(line) for line in found] == [(b"host", b"a"), (b"x-sidecar-error", b"c")]


@pytest.mark.parametrize("block", [b"\r\n", b"\r\nA:\r\n", b"\r\nA: \x80\xff\t b\r\n!#$%&'*+-.^_`|~09azAZ: x\r\n"])
def test_the_grammar_is_that_of_rfc_9112(block: bytes) -> None:
    """Any token is a name; any visible byte, space, TAB or foreign byte is a value."""
    assert strict_block(block)


@pytest.mark.parametrize(
    "block",
    [
        b"", b"A: b\r\n", b"\r\nA: b", b"\r\nA: b\n", b"\r\nA : b\r\n", b"\r\n A: b\r\n", b"\r\n: b\r\n", b"\r\nA: \0\r\n",
        b"\r\nA: \r\r\n", b"\r\nA: \x0b\r\n", b"\r\nA: \x7f\r\n", b"\r\nA\r\n", b"\r\nA[: b\r\n", b"\r\n\x80: b\r\n",
        b"\r\nA: b\r\n\r\n",
    ],
)  # fmt: skip
def test_nothing_else_is_a_block(block: bytes) -> None:
    """Controls, missing colons, spaces around names, lone CR or LF, and empty lines."""
    assert not strict_block(block)


def test_lists_have_members() -> None:
    """Lower case, without spaces and empty places; only SP and TAB are spaces."""
    assert members(b" Keep-Alive ,,\tX\t") == [b"keep-alive", b"x"]
    assert members(b"a\x0b") == [b"a\x0b"]
    assert members(b" , ") == []


def test_connection_removes_fields_but_not_the_protected() -> None:
    """What it names goes, except fields that others rely on and options that name no field."""
    options = [b"x-hop", b"content-type", b"host", b"set-cookie", b"keep-alive", b"close"]
    assert removable(options) == {b"x-hop"}


@pytest.mark.parametrize("digits", [b"", b"+1", b"-1", b"0x1", b"1_0", b" 1", b"1 ", b"\xb2", b"1" * 19])
def test_a_length_is_ascii_digits(digits: bytes) -> None:
    """None of what int() would take beside them."""
    assert not is_length(digits)
    assert is_length(b"007")
