"""What a connection is told, and with which number."""

import json
from random import Random
from typing import Any

from sidecar.cluster.cluster import Cluster
from sidecar.cluster.instance import Instance, Origin, Push
from sidecar.cluster.policy import Discovery, ServicePolicy
from sidecar.facade.names import Named
from sidecar.facade.offers import Lists, Offer, Ours
from sidecar.facade.telling import MOST_STAMPS, MOST_SUBSCRIPTIONS, Key, Stamps, Telling, named_in
from sidecar.facade.wanted import Wanted
from sidecar.wire import Payload, decode, encode

ORDERS = Named.of("orders")
KEY = Key(ORDERS, "")
ALL = Wanted()
WALL = 1000.0


def offer_of(*ports: int) -> tuple[Offer, Cluster]:
    cluster = Cluster(ServicePolicy(name="orders", discovery=Discovery(service="orders")), rng=Random(1), now=0.0)
    believe(cluster, *ports)
    return Offer(ORDERS, Lists.GUARDED, [Ours(cluster)], lambda _: None), cluster


def believe(cluster: Cluster, *ports: int) -> None:
    instances = tuple(Instance("10.0.0.1", port) for port in ports)
    cluster.apply(Push("orders", instances, Origin.NACOS, 1, len(cluster.stats.pushes) + 1), 1.0)


def subscribed() -> Telling:
    telling = Telling(lambda: WALL)
    telling.subscribe(KEY, ALL)
    return telling


def answer(*ports: int, at: int) -> bytes:
    hosts = [{"ip": "10.0.0.1", "port": port} for port in ports]
    body = {"resultCode": 200, "serviceInfo": {"name": "orders", "hosts": hosts, "lastRefTime": at}}
    return encode(Payload("SubscribeServiceResponse", json.dumps(body).encode()))


def info(data: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(decode(data).body)["serviceInfo"]
    return found


def ports(data: bytes) -> list[int]:
    return [host["port"] for host in info(data)["hosts"]]


async def test_numbers_grow_and_are_the_registrys_where_they_do() -> None:
    """A list of ours has the time of now, and what follows an ahead one the next number."""
    stamps = Stamps(lambda: WALL)
    assert stamps.passed(ORDERS, 5, "a") == 5
    assert stamps.passed(ORDERS, 5, "a") == 5
    assert stamps.passed(ORDERS, 5, "b") == 6
    assert stamps.made(ORDERS, "c") == 1_000_000
    assert stamps.passed(ORDERS, 7, "d") == 1_000_001
    assert stamps.passed(ORDERS, 7, "d", clusters="A") == 7


async def test_only_so_many_numbers_are_kept() -> None:
    """Whatever is asked for."""
    stamps = Stamps(lambda: WALL)
    for number in range(MOST_STAMPS + 10):
        stamps.passed(ORDERS, 1, "", str(number))
    assert len(stamps._last) == MOST_STAMPS


async def test_what_is_complete_and_newer_passes_as_the_bytes_that_came() -> None:
    """Nothing of it is written anew."""
    telling, (offer, _) = subscribed(), offer_of(1)
    data = answer(1, at=5)
    assert await telling.answer(data, offer, ALL, KEY) is data
    older = await telling.answer(answer(1, 2, at=4), offer, ALL, KEY)
    assert (info(older)["lastRefTime"], ports(older)) == (6, [1, 2])


async def test_an_answer_that_is_no_list_passes() -> None:
    """Whatever it is."""
    telling, (offer, _) = subscribed(), offer_of(1)
    for data in (b"\xff", encode(Payload("SubscribeServiceResponse", b"{}")), encode(Payload("x", b"\xff"))):
        assert await telling.answer(data, offer, ALL, KEY) is data


async def test_the_app_hears_when_a_hold_ends() -> None:
    """Once: then it knows."""
    telling, (offer, cluster) = subscribed(), offer_of(1, 2)
    await telling.answer(answer(1, 2, at=5), offer, ALL, KEY)
    assert ports(await telling.push(answer(1, at=6), offer, KEY)) == [1, 2]
    assert await telling.news(offer, KEY, "sidecar-1", alone=False) is None
    believe(cluster, 1)
    news = await telling.news(offer, KEY, "sidecar-2", alone=False)
    assert news is not None
    assert (ports(news), json.loads(decode(news).body)["requestId"]) == ([1], "sidecar-2")
    assert await telling.news(offer, KEY, "sidecar-3", alone=False) is None


async def test_additions_are_the_registrys_to_tell_while_it_can() -> None:
    """Without it they are ours."""
    telling, (offer, cluster) = subscribed(), offer_of(1)
    await telling.answer(answer(1, at=5), offer, ALL, KEY)
    believe(cluster, 1, 2)
    assert await telling.news(offer, KEY, "sidecar-1", alone=False) is None
    telling.deaf()
    news = await telling.news(offer, KEY, "sidecar-2", alone=True)
    assert news is not None
    assert ports(news) == [1, 2]


async def test_a_list_asked_for_without_the_registry_is_subscribed_to() -> None:
    """News of it follow; after unsubscribing they do not."""
    telling, (offer, cluster) = subscribed(), offer_of(1)
    data = await telling.answer_alone("SubscribeServiceRequest", offer, ALL, "", KEY)
    assert (decode(data).type, ports(data)) == ("SubscribeServiceResponse", [1])
    assert telling.keys(ORDERS) == [KEY]
    believe(cluster, 1, 2)
    assert await telling.news(offer, KEY, "sidecar-1", alone=True) is not None
    telling.unsubscribe(KEY)
    believe(cluster, 1)
    assert await telling.news(offer, KEY, "sidecar-2", alone=True) is None


async def test_a_service_that_is_ours_no_more_is_as_the_registry_says() -> None:
    """Whoever was added goes, and what was heard before is not believed later."""
    telling, (offer, _) = subscribed(), offer_of(1, 2)
    await telling.answer(answer(1, at=5), offer, ALL, KEY)
    gone = Offer(ORDERS, Lists.GUARDED, (), lambda _: None)
    news = await telling.news(gone, KEY, "sidecar-1", alone=False)
    assert news is not None
    assert ports(news) == [1]
    assert await telling.news(offer, KEY, "sidecar-2", alone=False) is None


async def test_a_service_that_becomes_ours_is_told_of_where_that_needs_no_registry() -> None:
    """The sidecar in its place."""
    telling, (offer, _) = subscribed(), offer_of(1)
    replaced = Offer(ORDERS, Lists.SIDECAR, [Ours(offer.members[0].cluster, ("127.0.0.1", 9))], lambda _: None)
    assert await telling.news(offer, KEY, "sidecar-1", alone=False) is None
    news = await telling.news(replaced, KEY, "sidecar-2", alone=False)
    assert news is not None
    assert ports(news) == [9]


def test_a_request_names_its_service_in_several_ways() -> None:
    """With a namespace of its own or that of the connection; not at all, or in nonsense."""
    assert named_in({"serviceName": "orders", "groupName": "G"}, "test") == Named.of("orders", "G", "test")
    assert named_in({"name": "orders", "namespace": "other"}, "test") == Named.of("orders", None, "other")
    assert named_in({"name": 1}, "test") is None
    assert named_in({"name": "orders", "groupName": 1}, "test") is None


async def test_only_so_many_subscriptions_are_remembered() -> None:
    """One too many is told what the registry says, better by what the guard knows, and nothing by itself."""
    telling, (offer, _) = Telling(lambda: WALL), offer_of(1, 2)
    keys = [Key(ORDERS, str(number)) for number in range(MOST_SUBSCRIPTIONS + 1)]
    for key in keys:
        telling.subscribe(key, ALL)
    assert telling.keys(ORDERS) == keys[:-1]
    assert ports(await telling.answer(answer(1, at=5), offer, ALL, keys[-1])) == [1, 2]
    assert await telling.news(offer, keys[-1], "1", alone=True) is None
