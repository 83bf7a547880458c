"""A request is told once: one record, one count."""

from sidecar.cluster.policy import WaitForInstance
from tests.support.ports import free_port
from tests.support.scripted_peer import ScriptedPeer, Talk
from tests.support.stack import MakeStack, call

REQUEST = (
    b"POST /orders?id=1 HTTP/1.1\r\nHost: Orders:80\r\nUser-Agent: legacy/1.0\r\nX-Request-Id: r-1\r\n"
    b"X-Forwarded-For: 10.1.1.1\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"
    b"Content-Length: 4\r\n\r\nbody"
)


async def test_a_record_tells_the_whole_request(stack: MakeStack) -> None:
    """Every field of the access log, for a request that went straight."""
    async with ScriptedPeer() as peer:
        proxy = stack()
        await proxy.open(peer.port)
        await call(proxy, REQUEST)
        (record,) = proxy.records
        assert (record.method, record.path, record.protocol) == ("POST", "/orders?id=1", "HTTP/1.1")
        assert (record.code, record.flags, record.details) == (200, "-", "via_upstream")
        assert (record.bytes_received, record.bytes_sent) == (4, 2)
        assert (record.endpoint, record.attempts, record.tries) == (peer.address, 1, ())
        assert (record.authority, record.user_agent, record.request_id) == ("Orders:80", "legacy/1.0", "r-1")
        assert (record.forwarded_for, record.trace_id) == ("10.1.1.1", "0af7651916cd43dd8448eb211c80319c")
        assert record.rescued_by is None
        assert 0 <= (record.upstream_time or 0) <= record.duration < 5000


async def test_several_attempts_are_listed(stack: MakeStack) -> None:
    """Each with its endpoint and outcome; the rescue is an event, too."""
    async with ScriptedPeer() as peer:
        refusing = free_port()
        proxy = stack()
        await proxy.open()
        proxy.add(peer.port, first=refusing)
        await call(proxy, REQUEST)
        (record,) = proxy.records
        assert [(t.endpoint, t.outcome) for t in record.tries] == [
            (f"127.0.0.1:{refusing}", "refused"),
            (peer.address, "ok"),
        ]
        assert (record.attempts, record.rescued_by) == (2, "retry")
        rescue = next(event for event in proxy.events if event.kind == "rescue")
        assert (rescue.endpoint, rescue.detail) == (peer.address, {"by": "retry", "attempts": 2, "dialled": None})


async def test_a_bad_answer_is_no_rescue(stack: MakeStack) -> None:
    """Whatever was tried before it: not in the log, the counter, the events, nor in the headers."""

    async def overloaded(talk: Talk) -> None:
        while await talk.request():
            await talk.send(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")

    async with ScriptedPeer(overloaded) as peer, ScriptedPeer(overloaded) as other:
        proxy = stack(debug_headers=True)
        await proxy.open(peer.port, other.port)
        answer = await call(proxy)
        assert answer.status == 503
        assert b"\r\nx-sidecar-attempts: 3\r\n" in answer.head
        assert b"\r\nx-sidecar-rescued: -\r\n" in answer.head
        assert proxy.records[0].rescued_by is None
        assert not proxy.cluster.stats.rescued
        assert "rescue" not in [event.kind for event in proxy.events]


async def test_a_body_that_no_instance_was_there_for_is_not_counted_as_sent(stack: MakeStack) -> None:
    """It came, and went nowhere."""
    proxy = stack(wait_for_instance=WaitForInstance(timeout=0.0))
    await proxy.open()
    proxy.list(free_port())
    assert (await call(proxy, REQUEST)).status == 503
    assert proxy.records[0].bytes_received == 4
    assert proxy.cluster.stats.bytes_to_instance == 0


async def test_counters_add_up(stack: MakeStack) -> None:
    """Requests, attempts, bytes and time of three calls; nothing stays in flight."""
    async with ScriptedPeer() as peer:
        proxy = stack()
        await proxy.open(peer.port)
        for _ in range(3):
            await call(proxy, REQUEST)
        stats = proxy.cluster.stats
        assert stats.requests == {(200, "-"): 3}
        assert stats.attempts == {"ok": 3}
        assert (stats.bytes_to_instance, stats.bytes_to_app) == (12, 6)
        assert sum(stats.request_duration.counts) == 3
        assert stats.requests_in_flight == 0
