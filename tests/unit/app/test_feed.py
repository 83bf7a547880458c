"""Claims about what a feed does with what its source says."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Collection, Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest

from sidecar.app.feed import Feed
from sidecar.app.services import Service
from sidecar.cluster.backlog import SLICE
from sidecar.cluster.events import Event
from sidecar.cluster.instance import Instance, Origin, Push, Silence, Statement, View
from sidecar.cluster.membership import EMPTY_BELIEVED
from sidecar.cluster.policy import Protection
from sidecar.discovery.questions import Enquiry
from sidecar.discovery.source import Connected, Disconnected, Identified, Malformed, Update
from sidecar.errors import FAILURES
from tests.support.clusters import Stage
from tests.support.until import PATIENCE


class ScriptedSource:
    """Says what a test puts into it."""

    def __init__(self) -> None:
        self.script: asyncio.Queue[Update] = asyncio.Queue()
        self.doubts: list[frozenset[str]] = []
        self.enquiries: list[Mapping[str, Enquiry]] = []
        self.closed = False

    async def updates(self) -> AsyncIterator[Update]:
        while True:
            yield await self.script.get()
            self.script.task_done()

    def doubt(self, services: Collection[str]) -> None:
        self.doubts.append(frozenset(services))

    def enquire(self, enquiries: Mapping[str, Enquiry]) -> None:
        self.enquiries.append(enquiries)

    async def close(self) -> None:
        self.closed = True


class Play:
    """A feed of one service, `orders`, and all that came out of it."""

    def __init__(self, **policy: Any) -> None:
        self.source = ScriptedSource()
        self.cluster = Stage(**policy).cluster
        self.events: list[Event] = []
        self.kept: list[str] = []
        service = cast("Service", SimpleNamespace(name="orders", cluster=self.cluster))
        self.feed = Feed(
            self.source,
            ["orders"],
            {"orders": service, "other": cast("Service", None)},
            emit=self.events.extend,
            keep=lambda one: self.kept.append(one.name),
            now=lambda: 200.0,
        )

    async def say(self, *updates: Update) -> list[str]:
        """The kinds of events that these updates cause."""
        self.events.clear()
        for update in updates:
            self.source.script.put_nowait(update)
        async with asyncio.timeout(PATIENCE):
            await self.source.script.join()
        return [event.kind for event in self.events]


def _push(service: str = "orders", *hosts: str, epoch: int = 1, sequence: int = 1) -> Push:
    instances = tuple(Instance(host, 80) for host in hosts or ("10.0.0.1",))
    return Push(service, instances, Origin.NACOS, epoch=epoch, sequence=sequence)


async def test_a_list_reaches_its_cluster_and_the_disk() -> None:
    """A push changes the cluster, tells events, and asks for the list to be kept."""
    play = Play()
    kinds = await play.say(Connected(1, "127.0.0.1:8848"), _push())
    assert kinds[0] == "registry_connected"
    assert "snapshot_applied" in kinds
    assert [one.address for one in play.cluster.in_force()] == ["10.0.0.1:80"]
    assert play.kept == ["orders"]
    await play.feed.close()


def _large(hosts: int, sequence: int, *, weight: float = 1.0) -> Push:
    instances = tuple(Instance(f"10.1.{i // 250}.{i % 250}", 80, weight=weight) for i in range(hosts))
    return Push("orders", instances, Origin.NACOS, epoch=1, sequence=sequence)


async def test_the_loop_turns_while_a_large_list_comes_into_force() -> None:
    """At least once for every slice, and no turn tells of more endpoints than a slice has."""
    play, turns = Play(), [0]

    def turn() -> None:
        turns.append(len(play.events))
        play.feed.connected.is_set() or asyncio.get_running_loop().call_soon(turn)

    asyncio.get_running_loop().call_soon(turn)
    await play.say(_large(10 * SLICE, 1), Connected(1, "127.0.0.1:8848"))
    told = [late - early for early, late in itertools.pairwise(turns)]
    assert max(told) <= SLICE + 1  # the last one has the sum, too
    assert sum(count > 1 for count in told) >= 10
    assert play.kept == ["orders"]
    await play.feed.close()


async def test_a_newer_list_does_not_overtake_one_on_its_way() -> None:
    """The first is in force as a whole, and told as such, before the second is looked at."""
    play = Play()
    kinds = await play.say(_large(3 * SLICE, 1), _large(2 * SLICE, 2, weight=2.0))
    assert [kind for kind in kinds if kind in {"push", "snapshot_applied"}] == ["push", "snapshot_applied"] * 2
    assert {one.weight for one in play.cluster.in_force()} == {2.0}
    assert len(play.cluster.in_force()) == 2 * SLICE
    await play.feed.close()


async def test_lists_of_services_that_it_no_longer_feeds_are_ignored() -> None:
    """A feed that a reload is replacing cannot put an old list into a cluster that is not its own any more."""
    play = Play()
    play.feed.names -= {"orders"}
    assert await play.say(_push(), _push("unknown"), Malformed("orders", 1, "damaged")) == []
    assert not play.cluster.has_list
    await play.feed.close()


@pytest.mark.scenario("S-23")
async def test_what_an_operator_should_know_of_a_list_is_said(caplog: pytest.LogCaptureFixture) -> None:
    """That it cannot be read, with the reason; that it has been empty from the start."""
    play = Play()
    await play.say(Connected(1, "n:8848"), Malformed("orders", 1, "hosts is null"))
    await play.say(Push("orders", (), Origin.NACOS, epoch=1, sequence=1))
    play.cluster.tick(200.0 + EMPTY_BELIEVED)
    play.feed.doubt(200.0 + EMPTY_BELIEVED)
    unreadable, unlisted = caplog.messages
    assert "hosts is null" in unreadable
    assert "no instance has ever been listed" in unlisted
    await play.feed.close()


async def test_the_session_is_known_and_the_first_one_is_remembered() -> None:
    """`session` follows the connection; `connected` stays set once it ever was."""
    play = Play()
    assert play.feed.session is None
    await play.say(Connected(1, "127.0.0.1:8848", version="3.1.0"))
    assert play.feed.session == Connected(1, "127.0.0.1:8848", version="3.1.0")
    kinds = await play.say(Disconnected(1, "127.0.0.1:8848", "stream_end"))
    assert "registry_disconnected" in kinds
    assert play.feed.session is None
    assert play.feed.connected.is_set()
    await play.feed.close()


@pytest.mark.parametrize("others", [0, 2])
async def test_whether_there_is_another_node_stands_in_the_timeline(others: int) -> None:
    """What the guard was told of the session is told with it, or a replay would have to guess."""
    play = Play()
    await play.say(Connected(1, "127.0.0.1:8848", others=others))
    assert play.events[0].detail["second_node"] is (others > 0)
    await play.feed.close()


async def test_a_feed_that_never_connected_stops_no_clock() -> None:
    """A new registry that cannot be reached after a reload does not stop the holds of the session that still serves."""
    play = Play()
    told: list[float] = []

    def disconnected(now: float) -> list[Event]:
        told.append(now)
        return []

    play.cluster.registry_disconnected = disconnected  # type: ignore[method-assign]
    await play.say(Disconnected(0, "127.0.0.1:8848", "open_failed"))
    assert told == []
    await play.say(Connected(1, "127.0.0.1:8848"), Disconnected(1, "127.0.0.1:8848", "stream_end"))
    assert told == [200.0]
    await play.feed.close()


async def test_a_replaced_feed_is_silent_once_its_heir_is_connected() -> None:
    """The end of the old session stops no clock while the new one answers."""
    old, new = Play(), Play()
    old.feed.heir = new.feed
    told: list[float] = []

    def disconnected(now: float) -> list[Event]:
        told.append(now)
        return []

    old.cluster.registry_disconnected = disconnected  # type: ignore[method-assign]
    await new.say(Connected(2, "127.0.0.1:8849"))
    await old.say(Connected(1, "127.0.0.1:8848"), Disconnected(1, "127.0.0.1:8848", "stream_end"))
    assert told == []
    await old.feed.close()
    await new.feed.close()


async def test_doubts_are_told_when_they_change() -> None:
    """A source hears of a doubt once when it begins and once when it ends, not at every beat."""
    play = Play()
    await play.say(_push())
    play.feed.doubt(200.0)
    baseline = len(play.source.doubts)
    for endpoint in list(play.cluster.endpoints.values()):
        assert play.cluster.pick(200.0) is endpoint
        play.cluster.report_failure(endpoint, FAILURES["refused"], 200.0)
    play.feed.doubt(200.0)
    play.feed.doubt(200.1)
    assert play.source.doubts[baseline:] == [frozenset({"orders"})]
    await play.feed.close()


async def test_closing_ends_the_source() -> None:
    """After `close` the source is closed and nothing it says is heard."""
    play = Play()
    await play.feed.close()
    assert play.source.closed
    play.source.script.put_nowait(_push())
    await asyncio.sleep(0)
    assert play.events == []


async def test_a_version_that_comes_later_completes_the_session() -> None:
    """Without an event and without a new doubt; one of an older session is dropped."""
    play = Play()
    await play.say(Connected(2, "127.0.0.1:8848"))
    assert await play.say(Identified(1, "2.5.1"), Identified(2, "3.1.0")) == []
    assert play.feed.session == Connected(2, "127.0.0.1:8848", "3.1.0")
    await play.feed.close()


def _empty(sequence: int) -> Push:
    return Push("orders", (), Origin.NACOS, epoch=1, sequence=sequence)


def _stated(view: View, *instances: Instance, asked_at: float = 200.0) -> Statement:
    return Statement("orders", view, "127.0.0.1:8849", instances, asked_at)


async def test_what_is_held_is_enquired_about_when_that_changes() -> None:
    """Once with the clusters of what is held, once more when nothing is; not at every beat."""
    play = Play()
    listed = Push("orders", (Instance("10.0.0.1", 80, cluster="B"), Instance("10.0.0.2", 80)), Origin.NACOS, 1, 1)
    await play.say(Connected(1, "127.0.0.1:8848"), listed)
    play.feed.doubt(200.0)
    assert play.source.enquiries == []
    await play.say(_empty(2))
    play.feed.doubt(200.0)
    play.feed.doubt(200.1)
    assert play.source.enquiries == [{"orders": Enquiry(frozenset({"B", "DEFAULT"}), elsewhere=True)}]
    play.cluster.obey(200.2)
    play.feed.doubt(200.3)
    assert play.source.enquiries[1:] == [{}]
    await play.feed.close()


async def test_no_second_opinion_is_asked_for_where_none_is_wanted() -> None:
    """`second_opinion: false` is told to the source."""
    play = Play(protection=Protection(second_opinion=False))
    await play.say(Connected(1, "127.0.0.1:8848"), _push(), _empty(2))
    play.feed.doubt(200.0)
    assert play.source.enquiries == [{"orders": Enquiry(frozenset({"DEFAULT"}), elsewhere=False)}]
    await play.feed.close()


async def test_what_a_node_states_reaches_the_cluster() -> None:
    """Another node is heard where there is one; what is switched off is let go."""
    play = Play()
    known = Instance("10.0.0.1", 80)
    await play.say(Connected(1, "127.0.0.1:8848", others=1), _push(), _empty(2))
    assert await play.say(_stated(View.OFFERED, known)) == ["second_opinion"]
    assert await play.say(_stated(View.OFFERED, known)) == []
    assert await play.say(_stated(View.EVERYTHING, Instance("10.0.0.1", 80, enabled=False))) == [
        "second_opinion",
        "hold_ended",
        "endpoint_removed",
    ]
    await play.feed.close()


async def test_that_no_node_answers_reaches_the_cluster() -> None:
    """Told when it has been so often enough."""
    play = Play()
    await play.say(Connected(1, "127.0.0.1:8848", others=1), _push(), _empty(2))
    said = [await play.say(Silence("orders", ("127.0.0.1:8849",), 200.0)) for _ in range(4)]
    assert said == [[], [], ["second_opinion"], []]
    await play.feed.close()


async def test_a_replaced_feed_states_nothing_once_its_heir_is_connected() -> None:
    """What the nodes of the old registry say is nothing to the lists of the new one."""
    old, new = Play(), Play()
    old.feed.heir = new.feed
    await old.say(Connected(1, "127.0.0.1:8848", others=1), _push(), _empty(2))
    await new.say(Connected(2, "127.0.0.1:8849"))
    assert await old.say(_stated(View.EVERYTHING, Instance("10.0.0.1", 80, enabled=False))) == []
    await old.feed.close()
    await new.feed.close()


async def test_a_feed_that_is_replaced_serves_until_its_heir_has_a_session() -> None:
    """Over sessions of its own, whose numbers may be later than that of the heir's: whose lists are the newest all the same."""
    old, new = Play(), Play()
    new.feed._services = old.feed._services
    one, two = Instance("10.0.0.1", 80), Instance("10.0.0.2", 80)
    await old.say(Connected(1, "a"), Push("orders", (one,), Origin.NACOS, epoch=1, sequence=1))
    old.feed.heir = new.feed
    await old.say(Disconnected(1, "a", "unreachable"), Connected(3, "a"))
    assert "push" in await old.say(Push("orders", (one, two), Origin.NACOS, epoch=3, sequence=2))
    assert len(old.cluster.in_force()) == 2
    await new.say(Connected(2, "b"))
    assert await old.say(Push("orders", (), Origin.NACOS, epoch=3, sequence=4)) == []
    three = Instance("10.0.0.3", 80)
    await new.say(Push("orders", (one, two, three), Origin.NACOS, epoch=2, sequence=3))
    assert len(old.cluster.in_force()) == 3
    assert old.cluster.stats.pushes["stale"] == 0
    await new.say(Push("orders", (), Origin.NACOS, epoch=1, sequence=5))
    assert old.cluster.stats.pushes["stale"] == 1
    await old.feed.close()
    await new.feed.close()


async def test_a_feed_says_nothing_more_once_its_heir_has_a_session() -> None:
    """What it hears late is older than what the heir says."""
    old, new = Play(), Play()
    await old.say(Connected(1, "a"))
    old.feed.heir = new.feed
    await new.say(Connected(2, "b"))
    assert await old.say(Push("orders", (), Origin.NACOS, epoch=1, sequence=1)) == []
    assert await old.say(Disconnected(1, "a", "unreachable")) == ["registry_disconnected"]
    await old.feed.close()
    await new.feed.close()


async def test_a_feed_that_is_silenced_says_nothing_that_it_has_already_heard() -> None:
    """A session that it opened in the very moment in which it was replaced would speak for services that are another feed's."""
    play = Play()
    await play.say(Connected(1, "a"))
    play.source.script.put_nowait(Connected(2, "a"))
    play.feed.silence()
    for _ in range(5):
        await asyncio.sleep(0)
    assert play.feed.session == Connected(1, "a")
    await play.feed.close()
    assert play.source.closed
