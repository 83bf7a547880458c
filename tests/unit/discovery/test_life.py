"""The life of one registry session, against a scripted one."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator

import pytest

from sidecar.cluster.instance import Via
from sidecar.cluster.stats import ProcessStats
from sidecar.discovery.life import Life
from sidecar.discovery.options import NacosOptions, Server
from sidecar.discovery.session import ErrorAnswer, Listing, ServiceKey, Trouble, Unanswered, Unreadable
from tests.support.scripted_registry import ScriptedRegistry, addresses, lists

pytestmark = pytest.mark.virtual_time

ORDERS, USERS = ServiceKey("orders", "G"), ServiceKey("users", "G")
SERVER = Server("n", 8848, 9848)


class Heard:
    """What the sink was given: (service, ports, via) or (service, text)."""

    def __init__(self) -> None:
        self.all: list[tuple[str, object, Via | None]] = []
        self.protected: list[bool] = []
        self.errors: list[tuple[str, str]] = []
        """What was answered instead of lists."""

    def listed(self, _epoch: int, key: ServiceKey, listing: Listing, via: Via) -> None:
        self.all.append((key.name, addresses(listing.instances), via))
        self.protected.append(listing.protect)

    def malformed(self, _epoch: int, key: ServiceKey, error: str) -> None:
        self.all.append((key.name, error, None))

    def refused(self, server: Server, key: ServiceKey, error: str) -> None:
        assert server is SERVER
        self.errors.append((key.name, error))


@pytest.fixture
def registry() -> ScriptedRegistry:
    registry = ScriptedRegistry()
    registry.listings = {ORDERS: lists(1, 2), USERS: lists(3)}
    return registry


class Living:
    """A life that has begun and is being served."""

    def __init__(self, life: Life, heard: Heard, stats: ProcessStats) -> None:
        self.life, self.heard, self.stats = life, heard, stats
        self.serving = asyncio.ensure_future(life.serve())  # noqa: TID251 - awaited below

    async def trouble(self, within: float) -> tuple[Trouble, float]:
        """What ended it, and after how many seconds."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with asyncio.timeout(within):
            return await asyncio.shield(self.serving), loop.time() - began

    async def fine_for(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        assert not self.serving.done()


def new_life(
    registry: ScriptedRegistry,
    heard: Heard,
    *keys: ServiceKey,
    stats: ProcessStats | None = None,
    options: NacosOptions | None = None,
) -> Life:
    return Life(
        registry.session,
        SERVER,
        options or NacosOptions(),
        keys or (ORDERS,),
        heard,
        epoch=7,
        rng=random.Random(1),
        stats=stats or ProcessStats(),
    )


@contextlib.asynccontextmanager
async def living(
    registry: ScriptedRegistry, *keys: ServiceKey, options: NacosOptions | None = None
) -> AsyncIterator[Living]:
    heard, stats = Heard(), ProcessStats()
    life = new_life(registry, heard, *keys, stats=stats, options=options)
    await life.begin()
    life.announce()
    served = Living(life, heard, stats)
    try:
        yield served
    finally:
        served.serving.cancel()
        await asyncio.gather(served.serving, return_exceptions=True)
        await life.end()
        assert registry.live.closed
        assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_lists_wait_for_the_announcement(registry: ScriptedRegistry) -> None:
    """Until every service is subscribed nothing is told; then everything, in order of arrival."""
    heard = Heard()
    life = new_life(registry, heard, ORDERS, USERS)
    await life.begin()
    registry.push(ORDERS, lists(9))
    assert heard.all == []
    life.announce()
    assert heard.all == [("orders", [1, 2], Via.PUSH), ("users", [3], Via.PUSH), ("orders", [9], Via.PUSH)]
    await life.end()


async def test_a_push_is_told_in_the_same_moment(registry: ScriptedRegistry) -> None:
    """No tick of the loop between the session's word and the sink's."""
    async with living(registry) as served:
        registry.push(ORDERS, lists())
        assert served.heard.all[-1] == ("orders", [], Via.PUSH)


async def test_lists_of_services_that_nobody_asked_for_are_dropped(registry: ScriptedRegistry) -> None:
    """A server that mixes up groups must not bring in strangers."""
    async with living(registry) as served:
        registry.push(ServiceKey("orders", "OTHER"), lists(9))
        registry.live.owner.unreadable(ServiceKey("orders", "OTHER"), "odd")
        assert served.heard.all == [("orders", [1, 2], Via.PUSH)]


async def test_opening_has_a_time_limit(registry: ScriptedRegistry) -> None:
    """A server that accepts and says nothing costs `open_timeout`."""
    registry.latency = 60.0
    life = new_life(registry, Heard())
    with pytest.raises(Unanswered, match="not open in time"):
        await life.begin()
    assert life.age == pytest.approx(5.0, abs=0.1)
    await life.end()


@pytest.mark.parametrize("failure", [Unanswered("gone"), ErrorAnswer(300, "starting"), ErrorAnswer(301, "who?")])
async def test_a_subscription_that_disowns_the_connection_fails_the_opening(
    registry: ScriptedRegistry, failure: Exception
) -> None:
    """Not answered, or answered that the connection is of no use: the next server may do better."""
    registry.fails[USERS] = failure  # type: ignore[assignment]
    life = new_life(registry, Heard(), ORDERS, USERS)
    with pytest.raises(type(failure)):
        await life.begin()
    await life.end()


@pytest.mark.parametrize(
    ("failure", "said"), [(ErrorAnswer(403, "no right"), []), (Unreadable("null"), [("orders", "null", None)])]
)
async def test_one_service_in_error_does_not_keep_the_others_from_opening(
    registry: ScriptedRegistry, failure: ErrorAnswer | Unreadable, said: list[object]
) -> None:
    """It is tried again every three seconds, and subscribed once it may be."""
    registry.fails[ORDERS] = failure
    async with living(registry, ORDERS, USERS) as served:
        assert served.heard.all == [*said, ("users", [3], Via.PUSH)]
        assert served.heard.errors == ([] if said else [("orders", "error 403: no right")])
        del registry.fails[ORDERS]
        await served.fine_for(3.1)
        assert ("orders", [1, 2], Via.PUSH) in served.heard.all
        assert registry.live.subscribed.count(ORDERS) == 2


async def test_one_service_that_is_answered_late_does_not_keep_the_others_from_opening(
    registry: ScriptedRegistry,
) -> None:
    """A list of thousands, or a server that has much to do: it is asked for at once, then every three seconds."""
    others = [ServiceKey(f"service-{number}", "G") for number in range(40)]
    registry.fails[ORDERS] = Unanswered("deadline", timed_out=True)
    async with living(registry, ORDERS, *others) as served:
        await served.fine_for(10)
        assert {name for name, *_ in served.heard.all} == {key.name for key in others}
        assert registry.live.subscribed.count(ORDERS) == 5
        assert served.heard.errors == [("orders", "no answer in time")]
        del registry.fails[ORDERS]
        await served.fine_for(3.1)
        assert ("orders", [1, 2], Via.PUSH) in served.heard.all


async def test_what_is_not_subscribed_in_time_is_while_serving(registry: ScriptedRegistry) -> None:
    """Forty services of a server that takes its time for each: the first lists are told, and then all others."""
    keys = [ServiceKey(f"service-{number}", "G") for number in range(40)]
    registry.latency = 2.0
    life = new_life(registry, heard := Heard(), *keys)
    await life.begin()
    assert life.age == pytest.approx(5.0, abs=0.1)
    life.announce()
    assert 0 < len({name for name, *_ in heard.all}) < len(keys)
    served = Living(life, heard, ProcessStats())
    await served.fine_for(20)
    assert {name for name, *_ in heard.all} == {key.name for key in keys}
    served.serving.cancel()
    await asyncio.gather(served.serving, return_exceptions=True)
    await life.end()


async def test_a_server_that_answers_no_subscription_is_left(registry: ScriptedRegistry) -> None:
    """With one service or with many: without an answer nothing is worth announcing."""
    for keys in ((ORDERS,), (ORDERS, USERS)):
        registry.fails = dict.fromkeys(keys, Unanswered("deadline", timed_out=True))
        life = new_life(registry, Heard(), *keys)
        with pytest.raises(Unanswered, match="no subscription was answered"):
            await life.begin()
        await life.end()


async def test_a_server_that_falls_silent_among_subscriptions_is_left(registry: ScriptedRegistry) -> None:
    """Twice in a row, as with queries: a black hole costs two time limits, not one for every eight services."""
    keys = [ServiceKey(f"service-{number}", "G") for number in range(40)]
    registry.fails = dict.fromkeys(keys[8:], Unanswered("deadline", timed_out=True))
    registry.latencies = dict.fromkeys(keys[8:], 1.0)
    life = new_life(registry, Heard(), *keys)
    with pytest.raises(Unanswered, match="deadline"):
        await life.begin()
    assert life.age == pytest.approx(2.0, abs=0.1)
    await life.end()


async def test_an_equal_answer_is_told_as_a_query(registry: ScriptedRegistry) -> None:
    """The guard counts answers; the order of the hosts does not matter, the flag is that of the answer."""
    async with living(registry) as served:
        registry.listings[ORDERS] = lists(2, 1, protect=True)
        await served.fine_for(2.5)
        assert served.heard.all[-1] == ("orders", [2, 1], Via.QUERY)
        assert served.heard.protected[-1]


async def test_a_differing_answer_is_never_told(registry: ScriptedRegistry) -> None:
    """Queries may be ahead or behind; a session that cannot agree with itself is replaced instead."""
    async with living(registry) as served:
        await served.fine_for(2.5)
        told = len(served.heard.all)
        registry.push(ORDERS, lists(9), lost=True)
        trouble, after = await served.trouble(within=7.5)
        assert trouble is Trouble.LIST_MISMATCH
        assert after <= 3.0 + 3.1
        assert len(served.heard.all) == told


async def test_a_lost_push_is_noticed_in_half_the_time_while_in_doubt(registry: ScriptedRegistry) -> None:
    """The data path saw a refused connect: the list is asked for at once, after 1 s and after 1.5 s."""
    async with living(registry, ORDERS, *(ServiceKey(f"s{n}", "G") for n in range(20))) as served:
        await served.fine_for(20)
        registry.push(ORDERS, lists(9), lost=True)
        served.life.doubt([ORDERS])
        trouble, after = await served.trouble(within=5)
        assert (trouble, round(after, 1)) == (Trouble.LIST_MISMATCH, 1.5)


async def test_a_push_that_catches_up_ends_the_suspicion(registry: ScriptedRegistry) -> None:
    """The query was ahead of the push: nothing to replace."""
    async with living(registry) as served:
        registry.push(ORDERS, lists(9), lost=True)
        await served.fine_for(2.5)
        registry.push(ORDERS, lists(9))
        await served.fine_for(10)
        assert served.heard.all[-1] == ("orders", [9], Via.QUERY)


async def test_an_answer_overtaken_by_a_push_is_dropped(registry: ScriptedRegistry) -> None:
    """What was asked before the push arrived speaks of the time before."""
    async with living(registry) as served:
        registry.latency = 0.5
        await served.fine_for(2.2)
        assert registry.live.queried[ORDERS] == 1
        registry.push(ORDERS, lists(9))
        await served.fine_for(1.0)
        assert served.heard.all == [("orders", [1, 2], Via.PUSH), ("orders", [9], Via.PUSH)]


async def test_two_unanswered_queries_in_a_row_are_trouble(registry: ScriptedRegistry) -> None:
    """A black hole is known two seconds after the first query that falls into it."""
    async with living(registry) as served:
        registry.silent, registry.fails[ORDERS] = True, Unanswered("deadline", timed_out=True)
        trouble, after = await served.trouble(within=6)
        assert trouble is Trouble.QUERY_FAILED
        assert after <= 3.0 + 1.0 + 1.1
        assert served.stats.queries == {"timeout": 2}


async def test_one_unanswered_query_is_forgiven(registry: ScriptedRegistry) -> None:
    """A lost packet costs one more question."""
    async with living(registry) as served:
        registry.fails[ORDERS] = Unanswered("reset")
        await asyncio.sleep(2.001)
        del registry.fails[ORDERS]
        await served.fine_for(10)
        assert served.stats.queries["error"] <= 1


@pytest.mark.parametrize("code", [300, 301, 302])
async def test_a_disowning_error_is_trouble_at_once(registry: ScriptedRegistry, code: int) -> None:
    """Rule of the contract: errors 300 to 302."""
    async with living(registry) as served:
        registry.fails[ORDERS] = ErrorAnswer(code, "forced")
        assert (await served.trouble(within=3.2))[0] is Trouble.UNHEALTHY


@pytest.mark.scenario("S-09")
async def test_an_answered_error_makes_only_that_service_stale(registry: ScriptedRegistry) -> None:
    """The others go on; the failing one is asked again every three seconds and keeps its list."""
    async with living(registry, ORDERS, USERS) as served:
        registry.fails[ORDERS] = ErrorAnswer(500, "broken")
        await served.fine_for(30)
        assert [told[0] for told in served.heard.all[2:]].count("users") >= 3
        assert [told for told in served.heard.all[2:] if told[0] == "orders"] == []
        assert set(served.heard.errors) == {("orders", "error 500: broken")}
        assert 8 <= served.stats.queries["error"] <= 12


async def test_an_unreadable_push_changes_nothing_and_is_asked_about(registry: ScriptedRegistry) -> None:
    """It is told as malformed, and two seconds later the list is asked for."""
    async with living(registry) as served:
        await served.fine_for(2.5)
        registry.live.owner.unreadable(ORDERS, "hosts is null")
        assert served.heard.all[-1] == ("orders", "hosts is null", None)
        asked = registry.live.queried[ORDERS]
        await served.fine_for(2.1)
        assert registry.live.queried[ORDERS] > asked


@pytest.mark.parametrize("trouble", [Trouble.STREAM_END, Trouble.RESET_REQUEST])
async def test_what_the_session_reports_ends_the_life_at_once(registry: ScriptedRegistry, trouble: Trouble) -> None:
    """The first reason counts."""
    async with living(registry) as served:
        await served.fine_for(1)
        registry.live.owner.troubled(trouble)
        registry.live.owner.troubled(Trouble.UNHEALTHY)
        found, after = await served.trouble(within=1)
        assert found is trouble
        assert after < 0.1


async def test_a_life_ends_after_about_an_hour(registry: ScriptedRegistry) -> None:
    """Even a session without fault."""
    seldom = NacosOptions(liveness_interval=300.0, reconcile_interval=300.0)
    async with living(registry, options=seldom) as served:
        trouble, after = await served.trouble(within=4000)
        assert trouble is Trouble.MAX_AGE
        assert 3240 <= after <= 3960


async def test_trouble_while_opening_fails_the_opening(registry: ScriptedRegistry) -> None:
    """A stream that ends before the last subscription leaves nothing worth announcing."""
    life = new_life(registry, Heard())
    registry.live.owner.troubled(Trouble.STREAM_END)
    with pytest.raises(Unanswered, match="stream_end"):
        await life.begin()
    await life.end()


async def test_tasks_that_had_to_be_ended_are_counted(registry: ScriptedRegistry) -> None:
    """The number comes from the session."""
    async with living(registry) as served:
        stats = served.stats
    assert stats.tasks_cancelled == 1
