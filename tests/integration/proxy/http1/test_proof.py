"""What the kernel can prove about a request on a reused connection: every row of the table, on real sockets."""

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import Callable, Iterator

import pytest

from sidecar.cluster.policy import NonIdempotent, Retry
from sidecar.proxy.http1 import proof
from sidecar.proxy.http1.attempt import Attempt
from sidecar.proxy.http1.upstream import InstanceConnection
from tests.support.scripted_peer import OK, ScriptedPeer, Talk, serving
from tests.support.stack import POST, MakeStack, ask, until

RST_ON_CLOSE = struct.pack("ii", 1, 0)

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Our end and the peer's, after one exchange, as any reused connection."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        ours = stack.enter_context(socket.create_connection(listener.getsockname()))
        theirs = stack.enter_context(listener.accept()[0])
        for _ in range(3):
            ours.sendall(b"request")
            theirs.recv(100)
            theirs.sendall(b"answer")
            ours.recv(100)
        theirs.settimeout(2)
        ours.settimeout(2)
        time.sleep(0.06)  # the last delayed acknowledgement is out
        yield ours, theirs


def seen(ours: socket.socket) -> str:
    """How our end sees the end of the connection."""
    try:
        return "data" if ours.recv(100) else "FIN"
    except ConnectionResetError:
        return "RST"


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST_ON_CLOSE)
    sock.close()


def closes_before_it_comes(ours: socket.socket, theirs: socket.socket, send: Callable[[], None]) -> None:
    theirs.close()
    send()


def reads_and_closes(ours: socket.socket, theirs: socket.socket, send: Callable[[], None]) -> None:
    send()
    theirs.recv(100)
    theirs.close()


def reads_and_resets(ours: socket.socket, theirs: socket.socket, send: Callable[[], None]) -> None:
    send()
    theirs.recv(100)
    reset(theirs)


def reads_a_part_and_closes(ours: socket.socket, theirs: socket.socket, send: Callable[[], None]) -> None:
    send()
    theirs.recv(1)
    theirs.close()


def closes_unread(ours: socket.socket, theirs: socket.socket, send: Callable[[], None]) -> None:
    send()
    theirs.close()


def half_closes_and_reads(ours: socket.socket, theirs: socket.socket, send: Callable[[], None]) -> None:
    theirs.shutdown(socket.SHUT_WR)
    send()
    theirs.recv(100)


def half_closes_and_closes_unread(ours: socket.socket, theirs: socket.socket, send: Callable[[], None]) -> None:
    """An event loop that ends a connection in two steps; its kernel has acknowledged what nobody will read."""
    theirs.shutdown(socket.SHUT_WR)
    theirs.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
    before = proof.acknowledged(ours)
    send()
    settle(lambda: proof.acknowledged(ours) != before)
    theirs.close()


def half_closes_and_answers_nothing(ours: socket.socket, theirs: socket.socket, send: Callable[[], None]) -> None:
    """Nor does it say whether it has read."""
    theirs.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
    theirs.shutdown(socket.SHUT_WR)
    send()


def settle(happened: Callable[[], bool]) -> None:
    """Waits for the kernel."""
    for _ in range(5000):
        if happened():
            return
        time.sleep(0.001)
    raise AssertionError("it never came to pass")


def adversary(ours: socket.socket, theirs: socket.socket, send: Callable[[], None]) -> None:
    """Half-closes in the race, executes what it reads then, and resets before its kernel has acknowledged."""
    theirs.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
    theirs.shutdown(socket.SHUT_WR)
    send()
    theirs.recv(100)
    reset(theirs)


@pytest.mark.parametrize(
    ("peer", "end", "verdict"),
    [
        (closes_before_it_comes, "FIN", True),
        (reads_and_closes, "FIN", False),
        (reads_and_resets, "RST", False),
        (reads_a_part_and_closes, "RST", False),
        (closes_unread, "RST", False),
        (half_closes_and_reads, "FIN", False),
        (half_closes_and_answers_nothing, "FIN", False),
        (half_closes_and_closes_unread, "FIN", False),
    ],
)
def test_the_verdict_follows_what_the_peer_did(
    pair: Pair, peer: Callable[..., None], end: str, *, verdict: bool
) -> None:
    """Only FIN, then RST, with nothing acknowledged is proof; a reset alone is none, whatever the kernel counts."""
    ours, theirs = pair
    before = proof.acknowledged(ours)
    assert before is not None
    peer(ours, theirs, lambda: ours.sendall(b"request"))
    time.sleep(0.01)
    assert seen(ours) == end
    assert (end == "FIN" and proof.undelivered(ours, before)) is verdict


def test_one_constructed_peer_deceives_the_proof(pair: Pair) -> None:
    """The documented exception: it executes after its own FIN and resets before it acknowledges."""
    ours, theirs = pair
    before = proof.acknowledged(ours)
    adversary(ours, theirs, lambda: ours.sendall(b"request"))
    time.sleep(0.01)
    assert seen(ours) == "FIN"
    assert proof.undelivered(ours, before)


def test_without_knowledge_there_is_no_proof(pair: Pair) -> None:
    """No count from before the request, or a socket that is closed: false."""
    ours, theirs = pair
    theirs.close()
    assert not proof.undelivered(ours, None)
    ours.close()
    assert not proof.undelivered(ours, 0)
    assert proof.acknowledged(ours) is None


def blind(patch: pytest.MonkeyPatch) -> None:
    """Lets a test write a request after the peer's FIN: neither the loop nor the peek sees it in time."""
    send = InstanceConnection.send

    def send_and_look(connection: InstanceConnection, attempt: Attempt, data: bytes) -> None:
        send(connection, attempt, data)
        connection.resume_reading()

    patch.setattr(InstanceConnection, "alive", lambda _: True)
    patch.setattr(InstanceConnection, "send", send_and_look)


@pytest.mark.http("H-41")
@pytest.mark.parametrize(("mode", "status"), [(NonIdempotent.PROVEN_UNDELIVERED, 200), (NonIdempotent.NEVER, 502)])
async def test_a_post_that_lost_the_race_is_sent_again_by_proof(
    stack: MakeStack, monkeypatch: pytest.MonkeyPatch, mode: NonIdempotent, status: int
) -> None:
    """The instance closed before the request came: executed once, rescued by `proof`; with `never` it is a 502."""

    async def closing(talk: Talk) -> None:
        await talk.request()
        await talk.send(OK)
        await talk.until_closed()

    async with ScriptedPeer(closing, serving) as peer:
        proxy = stack(retry=Retry(non_idempotent=mode))
        await proxy.open(peer.port)
        async with proxy.app() as app:
            assert (await ask(app, POST)).status == 200
            blind(monkeypatch)
            await until(lambda: proxy.cluster.stats.idle_connections == 1)
            proxy.idle_connection().pause_reading()
            peer.talks[0].close()
            await asyncio.sleep(0.03)
            answer = await ask(app, POST.replace(b"/a", b"/raced"))
            assert answer.status == status
        executed = [request for request in peer.requests if b"/raced" in request]
        assert len(executed) == (1 if status == 200 else 0)
        assert proxy.cluster.stats.rescued == ({"proof": 1} if status == 200 else {})
        assert proxy.cluster.stats.retries == ({"proof": 1} if status == 200 else {})
