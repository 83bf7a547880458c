"""Nobody to ask: the queue, its end, and who is told what."""

import pytest

from sidecar.cluster.policy import WaitForInstance
from tests.support.ports import free_port
from tests.support.scripted_peer import ScriptedPeer, connected
from tests.support.stack import GET, POST, MakeStack, begin, call, until

SHORT_WAIT = WaitForInstance(timeout=0.3)


@pytest.mark.virtual_time
@pytest.mark.http("H-66")
async def test_nothing_to_ask_is_a_503_after_the_wait(stack: MakeStack) -> None:
    """Without any instance a request waits, then is told why, with a retry-after."""
    proxy = stack(wait_for_instance=SHORT_WAIT)
    await proxy.open()
    answer = await call(proxy)
    assert (answer.status, answer.error) == (503, "UH no_instance attempts=0")
    assert b"\r\nretry-after: 1\r\n" in answer.head
    assert proxy.cluster.stats.waits == {"timeout": 1}
    assert proxy.cluster.stats.waiting == proxy.cluster.waiting == 0


@pytest.mark.virtual_time
async def test_everybody_refusing_is_told_after_one_round_and_the_wait(stack: MakeStack) -> None:
    """UF with the last refusal, not UH: there are instances, but none can be connected."""
    proxy = stack(wait_for_instance=SHORT_WAIT)
    await proxy.open(free_port(), free_port())
    answer = await call(proxy, POST)
    assert answer.status == 503
    assert answer.error.startswith("UF refused 127.0.0.1:")
    assert answer.error.endswith(" attempts=2")
    assert proxy.cluster.stats.retries == {"connect_failure": 1}
    assert proxy.records[-1].bytes_sent == proxy.cluster.stats.bytes_to_app == len(f"sidecar: {answer.error}\n")


async def test_a_request_waits_for_a_single_replica_to_come_back(stack: MakeStack) -> None:
    """A POST that arrives while the only instance restarts is answered once it listens again."""
    peer = ScriptedPeer()
    await peer.open()
    proxy = stack()
    await proxy.open(peer.port)
    await peer.close()
    asked = begin(call(proxy, POST))
    await until(lambda: proxy.cluster.waiting == 1)
    await peer.open()
    assert (await asked).status == 200
    assert len(peer.requests) == 1
    assert proxy.cluster.stats.waits == {"served": 1}
    assert proxy.records[-1].rescued_by == "retry"
    await peer.close()


async def test_a_request_waits_for_a_push(stack: MakeStack) -> None:
    """With an empty list the first push releases those who wait, first in first out: by `wait`."""
    async with ScriptedPeer() as peer:
        proxy = stack()
        await proxy.open()
        asked = [begin(call(proxy)) for _ in range(3)]
        await until(lambda: proxy.cluster.waiting == 3)
        proxy.list(peer.port)
        assert [(await one).status for one in asked] == [200, 200, 200]
        assert proxy.cluster.stats.rescued == {"wait": 3}


@pytest.mark.virtual_time
async def test_a_full_queue_turns_away(stack: MakeStack) -> None:
    """More than `max_queued` is answered at once."""
    proxy = stack(wait_for_instance=WaitForInstance(timeout=0.5, max_queued=1))
    await proxy.open()
    first = begin(call(proxy))
    await until(lambda: proxy.cluster.waiting == 1)
    answer = await call(proxy)
    assert (answer.status, answer.error) == (503, "UO queue_full attempts=0")
    assert (await first).status == 503


async def test_an_app_that_gives_up_waiting_leaves_no_trace(stack: MakeStack) -> None:
    """The queue empties at once, and the request counts as DC."""
    proxy = stack()
    await proxy.open()
    async with connected(proxy.port) as app:
        await app.send(GET)
        await until(lambda: proxy.cluster.waiting == 1)
        app.reset()
        await until(lambda: proxy.cluster.waiting == 0)
    assert proxy.codes == [(0, "DC")]
    assert proxy.cluster.stats.waits == {"app_left": 1}
