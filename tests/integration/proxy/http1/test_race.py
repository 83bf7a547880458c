"""A stalled endpoint and another one, asked at once."""

import asyncio

from sidecar.cluster.endpoint import State
from sidecar.cluster.policy import (
    OutlierDetection,
)
from tests.support.scripted_peer import (
    OK,
    ScriptedPeer,
    Talk,
    hanging,
)
from tests.support.stack import Answer, MakeStack, begin, call, until


async def test_a_request_that_waits_on_a_frozen_endpoint_is_answered_by_another(stack: MakeStack) -> None:
    """`stall`: a second attempt elsewhere, the first stays as witness until the other's head comes."""

    async def frozen(talk: Talk) -> None:
        await talk.request()
        await talk.send(OK)
        await hanging(talk)

    async with ScriptedPeer(frozen, hanging) as bad, ScriptedPeer() as good:
        proxy = stack(outlier_detection=OutlierDetection(stall_after=0.3))
        await proxy.open(bad.port, good.port)
        for _ in range(2):
            assert (await call(proxy)).status == 200
        bad_one = proxy.cluster.endpoints[bad.address]
        asked: list[asyncio.Task[Answer]] = []
        while bad_one.state is not State.STALLED and len(asked) < 200:
            asked.append(begin(call(proxy)))
            await asyncio.sleep(0.02)
        assert {(await asyncio.wait_for(one, 5)).status for one in asked} == {200}
        assert proxy.cluster.stats.retries["stall"] >= 1
        assert bad_one.owed == 0
        assert {record.rescued_by for record in proxy.records if len(record.tries) > 1} == {"retry"}


async def test_a_witness_that_answers_after_all_wins(stack: MakeStack) -> None:
    """Whichever head comes first is passed on, the other attempt is given up."""
    thaw = asyncio.Event()

    async def frozen(talk: Talk) -> None:
        await talk.request()
        await thaw.wait()
        await talk.send(OK.replace(b"ok", b"me"))
        await talk.serve()

    async def slow(talk: Talk) -> None:
        await talk.request()
        thaw.set()
        await hanging(talk)

    async with ScriptedPeer(frozen) as bad, ScriptedPeer(slow) as other:
        proxy = stack()
        await proxy.open(bad.port, other.port)
        proxy.add(other.port, first=bad.port)
        asked = begin(call(proxy))
        await until(lambda: bool(bad.requests))
        proxy.cluster.endpoints[bad.address].state = State.STALLED
        for connection in proxy.runtime.connections:
            connection.look_for_stall(proxy.upstream, proxy.now)
        answer = await asked
        assert (answer.status, answer.body) == (200, b"me")
        assert proxy.cluster.stats.requests_in_flight == 0
        assert all(e.in_flight == 0 and e.owed == 0 for e in proxy.cluster.endpoints.values())
