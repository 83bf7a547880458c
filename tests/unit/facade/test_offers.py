"""What the app is told of a service."""

import json
from random import Random
from typing import Any

from sidecar.cluster.cluster import Cluster
from sidecar.cluster.events import Event, ListWithheld
from sidecar.cluster.instance import Instance, Origin, Push
from sidecar.cluster.policy import Discovery, ServicePolicy
from sidecar.facade.lists import ListText, read
from sidecar.facade.names import Named
from sidecar.facade.offers import Lists, Offer, Offers, Ours
from sidecar.facade.wanted import Wanted

ORDERS = Named.of("orders")
ALL = Wanted()

_ORDERS = Discovery(service="orders")


def instance(port: int, cluster: str = "DEFAULT", **metadata: str) -> Instance:
    return Instance("10.0.0.1", port, cluster=cluster, metadata=metadata)


class Scene:
    """One service and what it believes."""

    def __init__(
        self,
        *believed: Instance,
        lists: Lists = Lists.GUARDED,
        listen: int | None = 15101,
        discovery: Discovery = _ORDERS,
    ) -> None:
        self.events: list[Event] = []
        self.cluster = Cluster(ServicePolicy(name="orders", discovery=discovery), rng=Random(1), now=0.0)
        address = ("127.0.0.1", listen) if listen else None
        self.offer = Offer(ORDERS, lists, [Ours(self.cluster, address)], self.events.extend)
        self._sequence = 0
        if believed:
            self.believe(*believed)

    def believe(self, *instances: Instance) -> None:
        self._sequence += 1
        self.cluster.apply(Push("orders", instances, Origin.NACOS, 1, self._sequence), float(self._sequence))

    async def told(self, *heard: int, wanted: Wanted = ALL) -> list[dict[str, Any]]:
        """The app's list when the registry said these ports, each with a field of its own."""
        whole = await listing(*heard)
        told = await self.offer.told(whole, wanted)
        self.offer.heard(whole, told, wanted)
        hosts: list[dict[str, Any]] = json.loads(f"[{told.hosts}]")
        return hosts

    async def ports(self, *heard: int, wanted: Wanted = ALL) -> list[int]:
        return [host["port"] for host in await self.told(*heard, wanted=wanted)]


async def listing(*ports: int) -> ListText:
    hosts = [{"ip": "10.0.0.1", "port": port, "future": f"f{port}"} for port in ports]
    found = await read(json.dumps({"serviceInfo": {"hosts": hosts}}))
    assert found is not None
    return found


async def test_a_complete_list_passes_as_it_is() -> None:
    """To the byte, also with somebody on it whom we have not heard of yet."""
    scene = Scene(instance(1))
    whole = await listing(1, 2)
    assert (await scene.offer.told(whole, ALL)).hosts == whole.hosts


async def test_an_empty_list_is_not_passed_on() -> None:
    """The app keeps everybody in force, each as the registry wrote it last; the event is told once a doubt."""
    scene = Scene(instance(1), instance(2))
    await scene.told(1, 2)
    scene.believe()
    assert [(h["port"], h["future"]) for h in await scene.told()] == [(1, "f1"), (2, "f2")]
    await scene.told(1)
    assert [(e.offered, e.kept) for e in scene.events if isinstance(e, ListWithheld)] == [(0, 2)]
    scene.believe(instance(1), instance(2))
    await scene.told(1, 2)
    scene.believe()
    await scene.told()
    assert len(scene.events) == 2
    assert scene.cluster.stats.facade_lists == {"passed": 2, "withheld": 3}


async def test_a_removal_that_we_have_not_heard_of_yet_is_not_withheld() -> None:
    """The instance stays for that moment, without a word of it: ordinary departures are no news."""
    scene = Scene(instance(1), instance(2), instance(3))
    await scene.told(1, 2, 3)
    assert await scene.ports(1, 2) == [1, 2, 3]
    assert scene.events == []
    assert scene.cluster.stats.facade_lists == {"passed": 2}


async def test_a_list_of_some_clusters_does_not_stand_for_all() -> None:
    """How hosts are written is learnt from whoever asks for every one, else from the same question."""
    scene, some = Scene(instance(1, cluster="A"), instance(2)), Wanted(frozenset({"A"}))
    await scene.told(1, wanted=some)
    assert [host.get("future") for host in await scene.told()] == ["f1", None]
    await scene.told(1, 2)
    await scene.told(1, wanted=some)
    assert [host.get("future") for host in await scene.told()] == ["f1", "f2"]


async def test_somebody_who_was_never_written_is_written_by_us() -> None:
    """With what is known: an app that starts during a false list."""
    scene = Scene(instance(1, cluster="B", zone="a"))
    (host,) = await scene.told()
    assert (host["clusterName"], host["metadata"], host["serviceName"]) == ("B", {"zone": "a"}, "DEFAULT_GROUP@@orders")


async def test_who_is_gone_for_us_too_is_gone() -> None:
    """The guard has believed the absence."""
    scene = Scene(instance(1), instance(2), instance(3))
    scene.believe(instance(1), instance(2))
    assert await scene.ports(1, 2) == [1, 2]


async def test_only_those_are_added_whom_the_app_asked_for() -> None:
    """An instance of another Nacos cluster is none of its business."""
    scene = Scene(instance(1, cluster="A"), instance(2, cluster="B"))
    assert await scene.ports(wanted=Wanted(frozenset({"B"}))) == [2]


async def test_without_a_list_of_ours_the_registry_has_the_word() -> None:
    """Nothing is known better."""
    scene = Scene()
    assert await scene.ports() == []
    assert not scene.offer.known


async def test_the_sidecar_stands_for_all() -> None:
    """In every Nacos cluster that was ever seen, whoever comes and goes."""
    scene = Scene(instance(1, cluster="A"), instance(2, cluster="B"), lists=Lists.SIDECAR)
    first = await scene.told(1, 2)
    assert [(h["ip"], h["port"], h["clusterName"]) for h in first] == [
        ("127.0.0.1", 15101, "A"),
        ("127.0.0.1", 15101, "B"),
    ]
    scene.believe(instance(3, cluster="A"))
    assert await scene.told(3) == first
    assert await scene.told() == first
    assert scene.events == []


async def test_the_sidecar_stands_where_nobody_is_yet() -> None:
    """A service without instances is called through the sidecar, which waits for one."""
    assert await Scene(lists=Lists.SIDECAR).ports() == [15101]
    assert Scene(lists=Lists.SIDECAR).offer.known


async def test_what_cannot_be_replaced_is_guarded() -> None:
    """A service without a listener of its own, one that speaks Dubbo, and the app's own."""
    assert await Scene(instance(1), lists=Lists.SIDECAR, listen=None).ports() == [1]
    assert await Scene(instance(1, **{"dubbo.x": "1"}), lists=Lists.SIDECAR).ports() == [1]
    own = Scene(instance(1), lists=Lists.SIDECAR)
    own.offer.registered(["10.0.0.9:1"])
    assert await own.ports() == [1]


async def test_what_the_app_took_back_is_not_kept() -> None:
    """Until it registers it again."""
    scene = Scene(instance(1), instance(2))
    scene.offer.registered(["10.0.0.1:1"])
    scene.offer.deregistered(["10.0.0.1:1"])
    assert await scene.ports() == [2]
    scene.offer.registered(["10.0.0.1:1"])
    assert await scene.ports() == [1, 2]


async def test_additions_may_be_left_to_the_registry() -> None:
    """Beside what it said only those come that the app was told of before, or that are held."""
    scene = Scene(instance(1), instance(2), instance(3))
    scene.believe()
    scene.believe(instance(4), instance(5))
    whole = await listing(5)
    told = await scene.offer.told(whole, ALL, only={"10.0.0.1:5"})
    assert told.added == {"10.0.0.1:1", "10.0.0.1:2", "10.0.0.1:3"}


async def test_another_configuration_keeps_what_was_learnt() -> None:
    """How instances are written, and what the app has registered."""
    scene, offers = Scene(instance(1)), Offers()
    offers.replace({ORDERS: scene.offer.members}, Lists.GUARDED, scene.events.extend)
    known = offers.find(ORDERS)
    assert known is not None
    whole = await listing(1)
    known.heard(whole, await known.told(whole, ALL), ALL)
    known.registered(["10.0.0.9:1"])
    offers.replace({ORDERS: scene.offer.members}, Lists.SIDECAR, scene.events.extend)
    later = offers.of_service("orders")
    assert later is not None
    assert later is not known
    assert later.provided
    assert '"f1"' in (await later.told(None, ALL)).hosts
    assert offers.find(Named.of("orders", "OTHER")) is None


async def test_services_that_share_a_name_share_a_list() -> None:
    """Two entries of the YAML for one service of the registry."""
    one, other = Scene(instance(1)), Scene(instance(2))
    offer = Offer(ORDERS, Lists.GUARDED, [*one.offer.members, *other.offer.members], one.events.extend)
    assert (await offer.told(None, ALL)).added == {"10.0.0.1:1", "10.0.0.1:2"}


async def test_each_group_of_instances_may_have_a_listener_of_its_own() -> None:
    """For apps that choose by metadata or by cluster: the listener stands there with what its own instances have."""
    old = Discovery(service="orders", metadata={"version": "1"})
    new = Discovery(service="orders", metadata={"version": "2"}, clusters=("B",))
    groups = [
        Scene(instance(1, version="1", zone="a"), instance(2, version="1", zone="b"), listen=15101, discovery=old),
        Scene(instance(3, cluster="B", version="2", zone="a"), listen=15102, discovery=new),
    ]
    offer = Offer(ORDERS, Lists.SIDECAR, [one.offer.members[0] for one in groups], groups[0].events.extend)

    async def seen(wanted: Wanted = ALL) -> list[tuple[int, str, dict[str, str]]]:
        hosts = json.loads(f"[{(await offer.told(None, wanted)).hosts}]")
        return [(host["port"], host["clusterName"], host["metadata"]) for host in hosts]

    first, second = {"version": "1"}, {"version": "2", "zone": "a"}
    assert await seen() == [(15101, "B", first), (15101, "DEFAULT", first), (15102, "B", second)]
    assert await seen(Wanted(frozenset({"B"}))) == [(15101, "B", first), (15102, "B", second)]
    (host,) = await Scene(lists=Lists.SIDECAR, discovery=new).told()
    assert (host["clusterName"], host["metadata"]) == ("B", {"version": "2"})
