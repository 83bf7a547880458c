"""Claims about which feeds run, and how a reload replaces them."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from sidecar.app.feeds import Feeds
from sidecar.app.services import Services
from sidecar.cluster.events import Event
from sidecar.cluster.instance import Instance, Origin
from sidecar.cluster.policy import Discovery, Probe, Protection, ServicePolicy
from sidecar.cluster.stats import ProcessStats
from sidecar.discovery.last_good import LastGood
from sidecar.discovery.options import NacosOptions
from sidecar.embedded.registry import EmbeddedRegistry
from sidecar.proxy.runtime import Runtime
from tests.support.ports import free_port
from tests.support.until import until


class Play:
    """Feeds and services of one process."""

    def __init__(self, *policies: ServicePolicy) -> None:
        loop = asyncio.get_running_loop()
        self.events: list[Event] = []
        self.stats = ProcessStats()
        self.services = Services(Runtime(emit=self.events.extend), random.Random(1), self.events.extend)
        self.feeds = Feeds(
            self.services, emit=self.events.extend, now=loop.time, rng=random.Random(1), stats=self.stats
        )
        self.now: Callable[[], float] = loop.time
        self.use(*policies)

    def use(self, *policies: ServicePolicy) -> None:
        built = self.services.build(policies, own_addresses=frozenset())
        self.services.put_in_force(built, policies, self.now())

    def follow(self, options: NacosOptions) -> None:
        self.feeds.follow(options, {name: one.cluster.policy.discovery for name, one in self.services.items()})

    async def listed(self, service: str, *ports: int) -> None:
        """Returns once the service's list is these ports."""

        async def so() -> bool:
            self.feeds.slow_beat(self.now())
            return {one.port for one in self.services[service].cluster.in_force()} == set(ports)

        await until(so)


def _policy(name: str, *static: str) -> ServicePolicy:
    return ServicePolicy(name, discovery=Discovery(static=static) if static else Discovery(service=name))


async def test_static_services_need_no_registry() -> None:
    """A configuration of fixed addresses has lists without any registry session."""
    play = Play(_policy("orders", "127.0.0.1:7001"))
    play.follow(NacosOptions())
    await play.listed("orders", 7001)
    assert not play.feeds.has_registry
    assert play.feeds.session is None
    await play.feeds.close()


async def test_a_reload_that_changes_no_discovery_keeps_the_session() -> None:
    """The registry connection survives a reload of anything else."""
    async with EmbeddedRegistry(port=0) as registry:
        registry.register("orders", "127.0.0.1", 7001)
        play = Play(_policy("orders"))
        options = NacosOptions(server_addresses=(registry.address,))
        play.follow(options)
        await play.listed("orders", 7001)
        session = play.feeds.session
        play.follow(options)
        play.feeds.slow_beat(play.now())
        assert play.feeds.session is session
        await play.feeds.close()


async def test_the_old_session_serves_until_the_new_registry_answers() -> None:
    """Moving to a registry that is not there yet loses no list; once it is there, its list takes over."""
    async with EmbeddedRegistry(port=0) as old:
        old.register("orders", "127.0.0.1", 7001)
        play = Play(_policy("orders"))
        play.follow(NacosOptions(server_addresses=(old.address,)))
        await play.listed("orders", 7001)
        first = play.feeds.session
        async with EmbeddedRegistry(port=0) as new:
            new.register("orders", "127.0.0.1", 7002)
            await new.stop()
            play.follow(NacosOptions(server_addresses=(new.address,)))
            play.feeds.slow_beat(play.now())
            assert play.feeds.session is first
            old.register("orders", "127.0.0.1", 7003)
            await play.listed("orders", 7001, 7003)
            await new.start()

            async def moved() -> bool:
                play.feeds.slow_beat(play.now())
                session = play.feeds.session
                return session is not None and session.server == new.address

            await until(moved)
            assert play.stats.reconnects["config"] == 1
            await play.feeds.close()


async def test_reloads_while_the_registry_is_away_leave_one_feed() -> None:
    """Those that never had a session go at once: all of them would open one when it is back."""
    away = f"127.0.0.1:{free_port()}"
    play = Play(_policy("orders"))
    for number in range(5):
        play.follow(NacosOptions(server_addresses=(away,), namespace=f"n{number}"))
    assert play.feeds._leaving == []
    feeds = [task for task in asyncio.all_tasks() if task.get_name() == "instance feed"]
    await until_only(feeds)
    await play.feeds.close()


async def until_only(feeds: list["asyncio.Task[object]"]) -> None:
    """All but one have ended."""

    async def so() -> bool:
        return sum(not feed.done() for feed in feeds) == 1

    await until(so)


async def test_a_feed_on_its_way_out_is_asked_about_what_is_held() -> None:
    """While the new registry is away it is the one that knows: a second answer confirms a doubted list, in time."""
    async with EmbeddedRegistry(port=0) as old:
        for port in (7001, 7002, 7003):
            old.register("orders", "127.0.0.1", port)
        quick = Protection(confirm=1.0, max_hold=600.0, probe=Probe.NONE)
        play = Play(replace(_policy("orders"), protection=quick))
        play.follow(NacosOptions(server_addresses=(old.address,)))
        await play.listed("orders", 7001, 7002, 7003)
        play.follow(NacosOptions(server_addresses=(f"127.0.0.1:{free_port()}",)))
        for port in (7002, 7003):
            old.deregister("orders", "127.0.0.1", port)

        async def asked() -> bool:
            play.feeds.slow_beat(play.now())
            (leaving,) = play.feeds._leaving
            return leaving._doubted == {"orders"}

        await until(asked)

        async def confirmed() -> bool:
            play.services.due(play.now())
            play.feeds.slow_beat(play.now())
            return {one.port for one in play.services["orders"].cluster.in_force()} == {7001}

        await until(confirmed)
        await play.feeds.close()


async def test_a_feed_on_its_way_out_brings_no_list_of_another_service() -> None:
    """Two reloads while the new registry is away: the oldest session no longer speaks for a service that has changed."""
    async with EmbeddedRegistry(port=0) as old:
        old.register("orders", "127.0.0.1", 7001)
        play = Play(_policy("orders"))
        play.follow(NacosOptions(server_addresses=(old.address,)))
        await play.listed("orders", 7001)
        away = NacosOptions(server_addresses=(f"127.0.0.1:{free_port()}",))
        play.follow(away)
        play.use(ServicePolicy("orders", discovery=Discovery(service="stock")))
        play.follow(away)
        pushes = len([one for one in play.events if one.kind == "push"])
        old.register("orders", "127.0.0.1", 7003)
        await asyncio.sleep(1.0)
        assert len([one for one in play.events if one.kind == "push"]) == pushes
        assert play.services["orders"].cluster.in_force() == ()
        await play.feeds.close()


async def test_a_service_that_comes_by_reload_gets_its_list() -> None:
    """A second service is subscribed without a pause for the first."""
    async with EmbeddedRegistry(port=0) as registry:
        registry.register("orders", "127.0.0.1", 7001)
        registry.register("stock", "127.0.0.1", 7002)
        options = NacosOptions(server_addresses=(registry.address,))
        play = Play(_policy("orders"))
        play.follow(options)
        await play.listed("orders", 7001)
        play.use(_policy("orders"), _policy("stock"))
        play.follow(options)
        await play.listed("stock", 7002)
        await play.listed("orders", 7001)
        await play.feeds.close()


async def test_start_from_disk_is_marked_and_bad_files_are_named(tmp_path: Path) -> None:
    """A believed file becomes the list (origin disk); one that is not believed is returned with its reason."""
    files = LastGood(tmp_path)
    await files.save("orders", Discovery(service="orders"), [Instance("127.0.0.1", 7001)])
    files.path("stock").write_text("{")
    play = Play(_policy("orders"), _policy("stock"))
    (ignored,) = await play.feeds.load_last_good(NacosOptions(snapshot_dir=tmp_path))
    assert (ignored.path, ignored.reason) == (files.path("stock"), "damaged")
    cluster = play.services["orders"].cluster
    assert cluster.has_list
    assert cluster.origin is not None
    assert cluster.origin.value == "disk"


@pytest.mark.defect(6)
async def test_defect_06_a_list_from_disk_is_subscribed_all_the_same_and_does_not_come_back(tmp_path: Path) -> None:
    """It serves until the registry has spoken; what only the disk knows is then held as doubtful, and dialled."""
    await LastGood(tmp_path).save("orders", Discovery(service="orders"), [Instance("127.0.0.1", 7009)])
    async with EmbeddedRegistry(port=0) as registry:
        registry.register("orders", "127.0.0.1", 7001)
        play = Play(_policy("orders"))
        options = NacosOptions(server_addresses=(registry.address,), snapshot_dir=tmp_path)
        await play.feeds.load_last_good(options)
        await play.listed("orders", 7009)
        play.follow(options)
        await play.listed("orders", 7001, 7009)
        cluster = play.services["orders"].cluster
        assert cluster.origin is Origin.NACOS
        assert registry.connections.counts["SubscribeServiceRequest"] == 1
        assert [address for address, one in cluster.endpoints.items() if one.listed] == ["127.0.0.1:7001"]
        assert cluster.guard.held.keys() == {"127.0.0.1:7009"}
        await play.feeds.close()


async def test_lists_of_the_registry_are_kept_on_disk(tmp_path: Path) -> None:
    """With a `snapshot_dir` every applied list of the registry is there for the next start."""
    async with EmbeddedRegistry(port=0) as registry:
        registry.register("orders", "127.0.0.1", 7001)
        play = Play(_policy("orders"))
        play.follow(NacosOptions(server_addresses=(registry.address,), snapshot_dir=tmp_path))
        await play.listed("orders", 7001)

        async def kept() -> bool:
            return LastGood(tmp_path).path("orders").exists()

        await until(kept)
        await play.feeds.close()
