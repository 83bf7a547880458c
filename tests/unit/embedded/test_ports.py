"""Pairs of ports."""

import contextlib
import socket
from collections.abc import Iterable

import pytest

from sidecar.embedded.ports import bind_pair, joined


def _close(*sockets: socket.socket) -> None:
    with contextlib.ExitStack() as stack:
        for sock in sockets:
            stack.enter_context(sock)


def _ports(sockets: Iterable[socket.socket]) -> list[int]:
    return [sock.getsockname()[1] for sock in sockets]


def test_any_free_pair_is_found_and_can_be_taken_again() -> None:
    """Port 0 gives two listening sockets the offset apart; the same pair can be bound after they are closed."""
    port, *pair = bind_pair("127.0.0.1", 0, 1000)
    assert _ports(pair) == [port, port + 1000]
    _close(*pair)
    again, *pair = bind_pair("127.0.0.1", port, 1000)
    assert again == port
    _close(*pair)


@pytest.mark.parametrize("taken", [0, 1])
def test_a_taken_port_is_an_error_and_leaves_nothing_open(taken: int) -> None:
    """Whichever of the two is in use, OSError is raised and the other one is free again."""
    port, *pair = bind_pair("127.0.0.1", 0, 1000)
    _close(pair[1 - taken])
    with pytest.raises(OSError, match="in use"):
        bind_pair("127.0.0.1", port, 1000)
    _close(pair[taken])
    _, *pair = bind_pair("127.0.0.1", port, 1000)
    _close(*pair)


def test_a_port_beyond_the_last_one_is_an_error() -> None:
    """65 000 has no gRPC counterpart at an offset of 1000."""
    with pytest.raises(OSError, match="does not exist"):
        bind_pair("127.0.0.1", 65_000, 1000)


@pytest.mark.parametrize(("host", "told"), [("127.0.0.1", "127.0.0.1:1"), ("::1", "[::1]:1")])
def test_an_address_of_either_kind_is_bound_and_told(host: str, told: str) -> None:
    """What is taken is told as an address is written."""
    port, *pair = bind_pair(host, 0, 1000)
    assert [sock.getsockname()[0] for sock in pair] == [host, host]
    with pytest.raises(OSError, match="in use") as refused:
        bind_pair(host, port, 1000)
    assert f"cannot bind {joined(host, port)}:" in str(refused.value)
    assert joined(host, 1) == told
    _close(*pair)


def test_a_name_that_is_unknown_is_told_in_words() -> None:
    """The error of a resolver has a number that means nothing elsewhere."""
    with pytest.raises(OSError, match=r"cannot bind nobody\.invalid:1: [A-Z][a-z ]+$"):
        bind_pair("nobody.invalid", 1, 1000)
