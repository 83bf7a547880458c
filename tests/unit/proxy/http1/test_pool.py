"""Which idle connection is used, and which are let go."""

import asyncio
import math

import pytest

from sidecar.cluster.endpoint import Endpoint
from sidecar.cluster.instance import Instance
from sidecar.cluster.policy import Keepalive
from sidecar.cluster.stats import ServiceStats
from sidecar.proxy.http1.pool import CROWDED, TRUSTED, Pool
from sidecar.proxy.wheel import Wheel

pytestmark = pytest.mark.virtual_time


class Connection:
    def __init__(self, name: str) -> None:
        self.name = name
        self.idle_since = 0.0
        self.is_alive = True
        self.looks = 0
        self.closed = False

    def __repr__(self) -> str:
        return self.name

    def alive(self) -> bool:
        self.looks += 1
        return self.is_alive

    def close(self) -> None:
        self.closed = True


class Shelf:
    """A pool with one endpoint, and connections a, b, c … put in at seconds 0, 1, 2 …"""

    def __init__(self, keepalive: Keepalive, *, trust: float = 0.0) -> None:
        loop = asyncio.get_running_loop()
        self.stats = ServiceStats()
        self.pool: Pool[Connection] = Pool(keepalive, self.stats, Wheel(loop.call_later, loop.time), trust=trust)
        self.endpoint = Endpoint(Instance("10.0.0.1", 80), 0.0)

    def fill(self, names: str) -> list[Connection]:
        connections = [Connection(name) for name in names]
        for second, connection in enumerate(connections):
            self.pool.opened(self.endpoint)
            self.pool.put(self.endpoint, connection, float(second))
        return connections

    def take(self, now: float, *, idempotent: bool = True) -> str | None:
        connection = self.pool.take(self.endpoint, now, idempotent)
        return connection.name if connection else None

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """Endpoint idle and active, service idle and open: they must always agree."""
        one, all_ = self.endpoint, self.stats
        return one.connections_idle, one.connections_active, all_.idle_connections, all_.instance_connections


async def test_the_connection_used_last_is_used_first() -> None:
    """LIFO: the others age out."""
    shelf = Shelf(Keepalive())
    shelf.fill("abc")
    assert [shelf.take(3.0), shelf.take(3.0), shelf.take(3.0), shelf.take(3.0)] == ["c", "b", "a", None]
    assert shelf.counts == (0, 3, 0, 3)


async def test_nothing_is_used_beyond_the_ceiling() -> None:
    """Not even when it is still alive."""
    shelf = Shelf(Keepalive(idle_timeout=15.0))
    shelf.fill("ab")
    assert shelf.take(15.9) == "b"
    assert shelf.take(15.9) is None


async def test_a_dead_one_is_closed_and_the_next_is_tried() -> None:
    """The peek right before reuse costs no request; one that idled for a moment only tells nothing of the others."""
    shelf = Shelf(Keepalive())
    _, second, third = shelf.fill("abc")
    third.is_alive = False
    assert shelf.take(2.2) == "b"
    assert (second.closed, third.closed) == (False, True)


async def test_however_many_have_died_at_once_there_is_an_answer() -> None:
    """An instance is killed behind a burst: thousands may idle, and none is alive."""
    shelf = Shelf(Keepalive(max_idle_per_endpoint=5000))
    dead = [Connection(str(number)) for number in range(5000)]
    for connection in dead:
        connection.is_alive = False
        shelf.pool.opened(shelf.endpoint)
        shelf.pool.put(shelf.endpoint, connection, 0.0)
    assert shelf.take(0.2) is None
    assert all(connection.closed for connection in dead)


async def test_a_dead_one_tells_how_long_others_may_be_used() -> None:
    """Its end was seen only now, by the peek: one that idled nearly as long is not tried, nor is one that idles so later."""
    shelf = Shelf(Keepalive())
    oldest, second = shelf.fill("ab")
    second.is_alive = False
    assert shelf.take(3.0) is None
    assert (second.closed, oldest.closed) == (True, False)
    assert shelf.endpoint.idle_ceiling == 1.6
    shelf.pool.put(shelf.endpoint, oldest, 3.0)
    assert shelf.take(4.7) is None


async def test_however_many_are_dead_a_request_finds_out() -> None:
    """A burst may leave thousands, and their instance may stop before the loop has seen one of them end."""
    shelf = Shelf(Keepalive())
    many = [Connection(str(number)) for number in range(5000)]
    for connection in many:
        connection.is_alive = False
        shelf.pool.opened(shelf.endpoint)
        shelf.pool.put(shelf.endpoint, connection, 1.0)
    assert shelf.take(1.0, idempotent=False) is None
    assert all(connection.closed for connection in many)


async def test_a_pool_counts_from_its_first_connection_on_until_it_is_closed() -> None:
    """One that a failed reload made is never closed, and must not be kept by counters that live on."""
    shelf = Shelf(Keepalive())
    assert shelf.stats.pools == []
    shelf.fill("ab")
    assert shelf.stats.pools == [shelf.pool]
    shelf.pool.close()
    assert shelf.stats.pools == []


async def test_what_must_not_be_sent_twice_takes_only_a_young_one() -> None:
    """Below `non_idempotent_max_idle` and half of the ceiling, whichever is less."""
    shelf = Shelf(Keepalive(idle_timeout=15.0, non_idempotent_max_idle=1.0))
    shelf.fill("a")
    assert shelf.take(1.5, idempotent=False) is None
    assert shelf.take(0.9, idempotent=False) == "a"
    low = Shelf(Keepalive(idle_timeout=1.0))
    low.fill("a")
    assert low.take(0.6, idempotent=False) is None
    assert low.take(0.6) == "a"


async def test_a_connection_used_just_now_is_trusted_by_requests_that_may_be_repeated() -> None:
    """No look for them; a POST always looks."""
    shelf = Shelf(Keepalive(), trust=TRUSTED)
    (one,) = shelf.fill("a")
    assert shelf.take(TRUSTED / 2) == "a"
    assert one.looks == 0
    shelf.pool.put(shelf.endpoint, one, 1.0)
    assert shelf.take(1.0 + TRUSTED / 2, idempotent=False) == "a"
    assert one.looks == 1


async def test_the_oldest_give_way_when_there_are_too_many() -> None:
    """`max_idle_per_endpoint`; 0 keeps none."""
    shelf = Shelf(Keepalive(max_idle_per_endpoint=2))
    connections = shelf.fill("abcd")
    shelf.pool.sweep(4.0)
    assert [c.name for c in connections if c.closed] == ["a", "b"]
    none = Shelf(Keepalive(max_idle_per_endpoint=0))
    assert none.fill("a")[0].closed


async def test_a_burst_of_answers_costs_no_connection_that_is_used_again_at_once() -> None:
    """More than `max_idle_per_endpoint` wait for a moment, and none of them closes that is taken within it."""
    shelf = Shelf(Keepalive(max_idle_per_endpoint=2))
    now = asyncio.get_running_loop().time()
    connections = [Connection(name) for name in "abcd"]
    for connection in connections:
        shelf.pool.opened(shelf.endpoint)
        shelf.pool.put(shelf.endpoint, connection, now)
    taken = [shelf.take(now + CROWDED / 2) for _ in connections]
    assert taken == ["d", "c", "b", "a"]
    for connection in connections:
        shelf.pool.put(shelf.endpoint, connection, now + CROWDED / 2)
    shelf.pool.sweep(now + CROWDED)
    assert not any(c.closed for c in connections)
    await asyncio.sleep(2.0)
    assert [c.name for c in connections if c.closed] == ["a", "b"]


@pytest.mark.parametrize(("seconds", "ceiling"), [(30, 15.0), (10, 8.0), (2, 1.6), (1, 0.0), (0, 0.0)])
async def test_an_advertised_timeout_lowers_the_ceiling(seconds: int, ceiling: float) -> None:
    """80 % of it; 0 or 1 means that nothing is kept."""
    shelf = Shelf(Keepalive(idle_timeout=15.0))
    shelf.fill("a")
    shelf.pool.said(shelf.endpoint, seconds, 0.0)
    assert (shelf.endpoint.idle_ceiling or 15.0) == (ceiling or 15.0) or shelf.endpoint.idle_ceiling == 0
    late = Connection("late")
    shelf.pool.opened(shelf.endpoint)
    shelf.pool.put(shelf.endpoint, late, 1.0)
    assert late.closed is (ceiling == 0.0)
    if ceiling:
        assert shelf.take(1.0 + ceiling - 0.01) == "late"


async def test_the_shortest_age_at_which_it_closed_on_us_is_learnt_and_forgotten_slowly() -> None:
    """80 % of it; a tenth more an hour; a close right after use teaches nothing."""
    shelf = Shelf(Keepalive(idle_timeout=15.0))
    shelf.fill("a")
    shelf.pool.closed_at(shelf.endpoint, 0.2, 0.0)
    assert shelf.endpoint.idle_ceiling is None
    shelf.pool.closed_at(shelf.endpoint, 5.0, 0.0)
    shelf.pool.closed_at(shelf.endpoint, 10.0, 0.0)
    assert shelf.endpoint.idle_ceiling == 4.0
    shelf.pool.sweep(3600.0)
    assert shelf.endpoint.idle_ceiling == pytest.approx(4.4)


async def test_a_restart_forgets_what_was_learnt_and_closes_what_idles() -> None:
    """Nobody listened: who comes back may have other habits."""
    shelf = Shelf(Keepalive())
    (one,) = shelf.fill("a")
    shelf.pool.closed_at(shelf.endpoint, 5.0, 0.0)
    shelf.pool.restarted(shelf.endpoint)
    assert one.closed
    assert shelf.endpoint.idle_ceiling is None


async def test_a_flush_takes_those_that_idled_as_long_or_longer() -> None:
    """They will be as dead as the one that was lost."""
    shelf = Shelf(Keepalive())
    first, second, third = shelf.fill("abc")
    shelf.pool.flush(shelf.endpoint, 1.0)
    assert (first.closed, second.closed, third.closed) == (True, True, False)


async def test_what_idles_too_long_is_closed_without_a_request() -> None:
    """The sweep runs by itself as long as anything idles."""
    loop = asyncio.get_running_loop()
    shelf = Shelf(Keepalive(idle_timeout=3.0))
    one = Connection("a")
    shelf.pool.opened(shelf.endpoint)
    shelf.pool.put(shelf.endpoint, one, loop.time())
    await asyncio.sleep(2.5)
    assert not one.closed
    await asyncio.sleep(3)
    assert one.closed
    assert shelf.counts == (0, 1, 0, 1)
    shelf.pool.closed(shelf.endpoint)
    assert shelf.counts == (0, 0, 0, 0)


async def test_room_is_made_by_the_one_that_idled_longest() -> None:
    """Of any endpoint; False when none idles."""
    shelf = Shelf(Keepalive())
    first, _ = shelf.fill("ab")
    assert shelf.pool.make_room()
    assert first.closed
    assert shelf.pool.make_room()
    assert not shelf.pool.make_room()


async def test_endpoints_that_nobody_wants_keep_nothing() -> None:
    """Their idle connections close; a connection still in use is closed when it comes back to a closed pool."""
    shelf = Shelf(Keepalive())
    one, _ = shelf.fill("ab")
    assert shelf.take(1.0) == "b"
    shelf.pool.keep_only(lambda _: False)
    assert one.closed
    shelf.pool.close()
    back = Connection("b")
    shelf.pool.put(shelf.endpoint, back, 2.0)
    assert back.closed


async def test_one_that_ended_while_idle_leaves_the_counts_right() -> None:
    """Removing what is not there changes nothing."""
    shelf = Shelf(Keepalive())
    one, two = shelf.fill("ab")
    shelf.pool.remove(shelf.endpoint, one)
    shelf.pool.remove(shelf.endpoint, one)
    assert shelf.counts == (1, 1, 1, 2)
    assert repr(shelf.pool) == "<Pool 1 endpoints, 1 idle>"
    assert two.idle_since == 1.0
    assert not math.isinf(two.idle_since)
