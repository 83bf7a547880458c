"""Claims about services over time and over a reload."""

import asyncio
import random
from dataclasses import replace

from sidecar.app.services import Services
from sidecar.cluster.endpoint import State
from sidecar.cluster.events import Event
from sidecar.cluster.instance import Instance, Origin, Push
from sidecar.cluster.policy import Discovery, ServicePolicy, WaitForInstance
from sidecar.errors import FAILURES
from sidecar.proxy.runtime import Runtime
from tests.support.scripted_peer import ScriptedPeer, serving
from tests.support.until import PATIENCE, until

ORDERS = ServicePolicy("orders", discovery=Discovery(service="orders"))


class Play:
    """All services of one process, and what they said."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.runtime = Runtime(emit=self.events.extend)
        self.services = Services(self.runtime, random.Random(1), self.events.extend)

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
