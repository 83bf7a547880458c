"""Claims about services over time and over a reload."""

import asyncio
import random
from dataclasses import replace

import pytest

from sidecar.app.heartbeat import Heartbeat
from sidecar.app.services import PROBES_A_SECOND, PROBES_AT_ONCE, Services
from sidecar.cluster.addresses import Addresses
from sidecar.cluster.cluster import Cluster
from sidecar.cluster.endpoint import State
from sidecar.cluster.events import Event
from sidecar.cluster.instance import Instance, Origin, Push
from sidecar.cluster.policy import Discovery, ServicePolicy, WaitForInstance
from sidecar.cluster.schedule import BURST
from sidecar.errors import FAILURES, Failure
from sidecar.proxy import prober
from sidecar.proxy.runtime import Runtime
from tests.support.scripted_peer import ScriptedPeer, serving
from tests.support.until import PATIENCE, until

ORDERS = ServicePolicy("orders", discovery=Discovery(service="orders"))


class Play:
    """All services of one process, and what they said."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.runtime = Runtime(emit=self.events.extend, now=asyncio.get_running_loop().time)
        self.addresses = Addresses(600.0)
        self.services = Services(self.runtime, random.Random(1), self.events.extend, addresses=self.addresses)

    @property
    def now(self) -> float:
        return self.runtime.now()

    def use(self, *policies: ServicePolicy) -> None:
        built = self.services.build(policies, own_addresses=frozenset())
        self.services.put_in_force(built, policies, self.now)

    def list(self, *ports: int) -> None:
        instances = tuple(Instance("127.0.0.1", port) for port in ports)
        cluster = self.services["orders"].cluster
        self.events += cluster.apply(Push("orders", instances, Origin.STATIC), self.now)


async def test_a_quarantined_endpoint_comes_back_by_a_probe() -> None:
    """Driving a due cluster dials what refuses, and the success makes it available again."""
    play = Play()
    play.use(ORDERS)
    async with ScriptedPeer(serving) as peer:
        port = int(peer.address.rpartition(":")[2])
        play.list(port)
        cluster = play.services["orders"].cluster
        endpoint = cluster.pick(play.now)
        assert endpoint is not None
        play.events += cluster.report_failure(endpoint, FAILURES["refused"], play.now)
        assert endpoint.state is State.QUARANTINED

        async def back() -> bool:
            play.services.due(play.now)
            return endpoint.state is State.AVAILABLE

        await until(back, pause=0.02)
    assert "endpoint_recovered" in {event.kind for event in play.events}


async def test_endpoints_survive_a_reload_while_discovery_is_the_same() -> None:
    """Another retry policy keeps the cluster with all that was seen; another Nacos service starts from nothing."""
    play = Play()
    play.use(ORDERS)
    play.list(7001)
    cluster = play.services["orders"].cluster
    changed = replace(ORDERS, wait_for_instance=WaitForInstance(timeout=9.0))
    play.use(changed)
    assert play.services["orders"].cluster is cluster
    assert cluster.policy is changed
    assert play.services["orders"].upstream.policy is changed
    play.use(replace(changed, discovery=Discovery(service="other")))
    assert play.services["orders"].cluster is not cluster
    assert not play.services["orders"].cluster.has_list


async def test_addresses_outlive_a_change_of_discovery_but_not_the_service() -> None:
    """The app may still call what it knew: the name is the same. A service that is gone is named by nothing."""
    play = Play()
    play.use(ORDERS)
    play.list(7001, 7002)
    play.use(replace(ORDERS, discovery=Discovery(service="other")))
    play.list(7002, 7003)
    owners = [play.addresses.find(f"127.0.0.1:{port}", play.now, {"orders"}) for port in (7001, 7002, 7003)]
    assert [repr(owner).rpartition(" ")[2] for owner in owners] == ["left>", "listed>", "listed>"]
    play.use(ServicePolicy("stock"))
    assert repr(play.addresses) == "<Addresses 0, 0 left>"


async def test_an_unchanged_service_stays_as_it_is() -> None:
    """A reload of something else keeps the service with its pooled connections and its budget."""
    play = Play()
    play.use(ORDERS)
    before = play.services["orders"]
    play.use(replace(ORDERS), ServicePolicy("stock"))
    assert play.services["orders"] is before


async def test_building_changes_nothing_yet() -> None:
    """A configuration that cannot be bound in the end leaves policies and services as they were."""
    play = Play()
    play.use(ORDERS)
    before = play.services["orders"]
    play.services.build([replace(ORDERS, via=True), ServicePolicy("stock")], own_addresses=frozenset())
    assert list(play.services) == ["orders"]
    assert play.services["orders"] is before
    assert before.cluster.policy is ORDERS


class _Waiter:
    """Somebody who was held by the old configuration."""

    def __init__(self) -> None:
        self.released_at: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    def released(self, now: float) -> None:
        self.released_at.set_result(now)


async def test_who_waits_under_the_old_configuration_is_still_served() -> None:
    """A request that was held when the reload came is released by the next instance, not forgotten."""
    play = Play()
    play.use(ORDERS)
    waiter = _Waiter()
    play.services["orders"].upstream.waiting.enter(waiter)
    play.use(replace(ORDERS, via=True))
    play.services.due(play.now)
    assert not waiter.released_at.done()
    play.list(7001)
    play.services.due(play.now)
    async with asyncio.timeout(PATIENCE):
        await waiter.released_at


class _Closed:
    """A port that takes thirty milliseconds to refuse; who dials it, and when."""

    def __init__(self) -> None:
        self.open = 0
        self.most = 0
        """Connects that were under way at the same time."""
        self.began: list[float] = []

    async def probe(self, _host: str, _port: int, _within: float, _wrap: object) -> Failure:
        self.open += 1
        self.most = max(self.most, self.open)
        self.began.append(asyncio.get_running_loop().time())
        await asyncio.sleep(0.03)
        self.open -= 1
        return FAILURES["refused"]

    def busiest(self, seconds: float) -> int:
        """The most dials in any stretch of so many seconds."""
        return max(sum(at <= other < at + seconds for other in self.began) for at in self.began)


@pytest.mark.virtual_time
async def test_many_services_that_list_one_instance_dial_it_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Quarantined in four, held by order in four, asked for by waiting calls in four: one connect at a time.

    And not more than one a heartbeat, however many ask; before anybody waits not more than the four holds' one a second
    and the back-off of quarantine make.
    """
    closed = _Closed()
    monkeypatch.setattr(prober, "probe", closed.probe)
    play, names = Play(), [f"s{number}" for number in range(12)]
    play.use(*(ServicePolicy(name) for name in names))
    clusters = [play.services[name].cluster for name in names]
    for cluster in clusters:
        cluster.apply(Push(cluster.name, (Instance("127.0.0.1", 7001),), Origin.STATIC), play.now)
    for cluster in clusters[4:8]:
        cluster.hold(600.0, play.now)
        cluster.apply(Push(cluster.name, (), Origin.STATIC), play.now)
    for cluster in (*clusters[:4], *clusters[8:]):
        endpoint = cluster.pick(play.now)
        assert endpoint is not None
        cluster.report_failure(endpoint, FAILURES["refused"], play.now)
    heartbeat = Heartbeat(asyncio.get_running_loop(), on_beat=play.services.due, on_slow_beat=lambda _: None)
    await asyncio.sleep(20)
    assert closed.busiest(1.0) <= 20
    calm = [at for at in closed.began if at > play.now - 10]
    assert 10 <= len(calm) <= 10 * 4 + 8
    for cluster in clusters[8:]:
        cluster.waiting = 1
    await asyncio.sleep(20)
    heartbeat.stop()
    assert {state for cluster in clusters for state in cluster.states()} == {State.QUARANTINED}
    assert len(closed.began) > 20 * 5
    assert closed.busiest(1.0) <= 20
    assert closed.most == 1


def _thousands(play: Play, *, services: int = 40, endpoints: int = 50) -> list[Cluster]:
    """Services that start from disk: every endpoint is to be dialled, and no dial ends."""
    policies = [ServicePolicy(f"s{n}", discovery=Discovery(service=f"s{n}")) for n in range(services)]
    play.use(*policies)
    clusters = [service.cluster for service in play.services.values()]
    instances = tuple(Instance("192.0.2.1", port) for port in range(1, endpoints + 1))  # RFC 5737 §3: nobody's
    for cluster in clusters:
        cluster.apply(Push(cluster.name, instances, Origin.DISK), play.now)
    return clusters


def _dialled(cluster: Cluster) -> int:
    return sum(endpoint.probing for endpoint in cluster.endpoints.values())


async def test_dials_are_shared_out_among_services() -> None:
    """Two thousand endpoints wait: in a second some three hundred dials begin, a few at every beat, and nobody is left out."""
    play = Play()
    clusters = _thousands(play)
    start, begun, beats = play.now, 0, []
    for beat in range(21):
        play.services.due(start + 0.05 * beat)
        before, begun = begun, sum(map(_dialled, clusters))
        beats.append(begun - before)
    assert max(beats) <= PROBES_AT_ONCE
    assert PROBES_A_SECOND <= begun <= PROBES_A_SECOND + 2 * PROBES_AT_ONCE
    assert min(map(_dialled, clusters)) > 0
    await _end_probes()


async def test_whom_requests_wait_for_is_dialled_first() -> None:
    """The last of forty services has its dials at the first beat."""
    play = Play()
    clusters = _thousands(play)
    clusters[-1].waiting = 1
    play.services.due(play.now)
    assert _dialled(clusters[-1]) == BURST
    await _end_probes()


async def _end_probes() -> None:
    probes = [task for task in asyncio.all_tasks() if task.get_name().startswith("probe")]
    for task in probes:
        task.cancel()
    await asyncio.gather(*probes, return_exceptions=True)


async def test_what_is_counted_goes_on_under_another_discovery() -> None:
    """Another cluster takes over; a counter that falls looks like a restart, and what is in flight is still there."""
    play = Play()
    play.use(ORDERS)
    stats = play.services["orders"].cluster.stats
    stats.clean[200] = 5
    stats.requests_in_flight = 1
    play.use(replace(ORDERS, discovery=Discovery(service="stock")))
    assert play.services["orders"].cluster.stats is stats
    assert play.services["orders"].upstream.stats is stats


async def test_our_own_addresses_follow_a_reload() -> None:
    """A listener that moves onto an instance's address makes it ourselves; one that moves away gives it back."""
    play = Play()
    play.use(ORDERS)
    play.list(7001, 7002)
    cluster = play.services["orders"].cluster

    def listen(*ports: int) -> None:
        own = frozenset(f"127.0.0.1:{port}" for port in ports)
        play.services.put_in_force(
            play.services.build([ORDERS], own_addresses=own), [ORDERS], play.now, own_addresses=own
        )

    def states() -> list[State]:
        return [cluster.endpoints[f"127.0.0.1:{port}"].state for port in (7001, 7002)]

    listen(7001)
    assert states() == [State.DISABLED, State.AVAILABLE]
    assert [event.endpoint for event in play.events if event.kind == "endpoint_is_self"] == ["127.0.0.1:7001"]
    listen(7002)
    assert states() == [State.AVAILABLE, State.DISABLED]
    play.list(7002)
    play.list(7001, 7002)
    assert cluster.endpoints["127.0.0.1:7001"].is_self is False


async def test_who_waits_under_the_old_discovery_is_not_the_new_clusters() -> None:
    """The count is shared, and each cluster hurries for its own."""
    play = Play()
    play.use(ORDERS)
    old = play.services["orders"].upstream
    old.count_waiting(1)
    play.use(replace(ORDERS, discovery=Discovery(service="stock")))
    new = play.services["orders"].upstream
    new.count_waiting(1)
    new.count_waiting(-1)
    assert (old.cluster.waiting, new.cluster.waiting, new.stats.waiting) == (1, 0, 1)
    old.count_waiting(-1)
    assert (old.cluster.waiting, new.cluster.waiting, new.stats.waiting) == (0, 0, 0)
