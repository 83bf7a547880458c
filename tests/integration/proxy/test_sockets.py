"""What the kernel knows of a connected socket."""

import socket
from collections.abc import Iterator

import pytest

from sidecar.proxy.sockets import last_words, untaken, window
from tests.support.scripted_peer import is_reset
from tests.support.until import until

SIZE = 200_000

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Two ends of a connection, the second one with a small buffer to receive into."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        with socket.create_connection(listener.getsockname()) as one:
            other, _ = listener.accept()
            with other:
                one.setblocking(False)
                yield one, other


async def test_the_window_is_what_the_peer_takes_unread(pair: Pair) -> None:
    """Of a small one less than the usual 64 KiB, and less when some of it lies there unread."""
    one, _ = pair
    before = window(one)
    assert 4 * 1024 <= before <= 32 * 1024
    one.send(b"x" * SIZE)

    async def smaller() -> bool:
        return window(one) < before

    await until(smaller)


async def test_what_is_untaken_is_neither_read_nor_acknowledged(pair: Pair) -> None:
    """It goes down as the peer reads, and is nothing for a socket that is closed."""
    one, other = pair
    sent = one.send(b"x" * SIZE)
    assert 0 < untaken(one) <= sent
    left = sent
    while left:
        left -= len(other.recv(left))

    async def taken() -> bool:
        return untaken(one) == 0

    await until(taken)
    one.close()
    assert untaken(one) == 0


async def test_last_words_are_what_came_ahead_of_a_reset(pair: Pair) -> None:
    """Also when a write has failed already; and there are none of a socket that is closed."""
    one, other = pair
    other.sendall(b"no")
    other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    other.close()

    async def broken() -> bool:
        return is_reset(one)

    await until(broken)
    with pytest.raises(ConnectionError):
        one.send(b"x")
    assert b"".join(last_words(one)) == b"no"
    one.close()
    assert not list(last_words(one))
