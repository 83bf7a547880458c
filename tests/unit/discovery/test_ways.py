"""Which way to a server: what knocks mean, over time."""

import asyncio
import random
import re
import socket

import pytest

from sidecar.discovery import ways
from sidecar.discovery.approach import Miss
from sidecar.discovery.options import Server, Transport
from sidecar.discovery.ways import POLLED_AFTER, Closed, Way, Ways, grpc_opens, knock
from sidecar.tasks import spawn
from tests.support.ports import free_port
from tests.support.until import PATIENCE

A, B = Server("a", 8848, 9848), Server("b", 8848, 9848)
HOME = "127.0.0.1"
REFUSED, FAILED = Closed(Miss.REFUSED, "is closed"), Closed(Miss.FAILED, "no answer")


def ways_to(servers: list[Server], wanted: Transport) -> Ways:
    return Ways(servers, wanted, rng=random.Random(1))


def test_grpc_is_the_way_wherever_its_port_is_open() -> None:
    """Whatever HTTP does."""
    found = ways_to([A], Transport.AUTO)
    assert found.decide(A, None, None, 0.0) is Transport.GRPC
    assert found.decide(A, None, REFUSED, 0.0) is Transport.GRPC


def test_a_port_closed_for_a_moment_is_waited_for() -> None:
    """A server that stops or starts; polling comes after a second of it."""
    found = ways_to([A], Transport.AUTO)
    assert found.decide(A, REFUSED, None, 10.0) is REFUSED
    assert found.decide(A, REFUSED, None, 10.0 + POLLED_AFTER / 2) is REFUSED
    assert found.decide(A, REFUSED, None, 10.0 + POLLED_AFTER) is Transport.HTTP
    assert found.decide(A, REFUSED, None, 99.0) is Transport.HTTP


def test_a_server_that_is_down_is_not_polled() -> None:
    """Nor is it a sign of anything but that."""
    found = ways_to([A], Transport.AUTO)
    assert found.decide(A, FAILED, FAILED, 0.0) is FAILED
    assert found.decide(A, REFUSED, REFUSED, 9.0) is REFUSED


def test_one_server_with_grpc_is_enough_not_to_poll_another() -> None:
    """Every gRPC port has to be closed; one that opens starts the count anew."""
    found = ways_to([A, B], Transport.AUTO)
    for now in (0.0, 5.0, 10.0):
        assert found.decide(A, FAILED, None, now) is FAILED
    assert found.decide(B, REFUSED, None, 11.0) is REFUSED
    assert found.decide(A, FAILED, None, 12.0) is Transport.HTTP
    assert found.decide(B, None, None, 13.0) is Transport.GRPC
    assert found.decide(A, FAILED, None, 14.0) is FAILED


async def test_a_way_that_is_wanted_is_the_only_one() -> None:
    """And only its own port is knocked at."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port, other = listening.getsockname()[1], free_port()
        only_http, only_grpc = Server("127.0.0.1", port, other), Server("127.0.0.1", other, port)
        closed = Closed(Miss.REFUSED, f"port {other} is closed")
        assert await ways_to([only_http], Transport.HTTP).to(only_http) == Way(Transport.HTTP, only_http.at(HOME))
        assert await ways_to([only_http], Transport.GRPC).to(only_http) == closed
        assert await ways_to([only_grpc], Transport.HTTP).to(only_grpc) == closed
        assert await ways_to([only_grpc], Transport.AUTO).to(only_grpc) == Way(Transport.GRPC, only_grpc.at(HOME))


async def test_a_name_that_is_not_known_yet_is_asked_for_again_soon() -> None:
    """As a pod's own name while it starts; what the resolver says is told."""
    nobody = Server("no-such-host.invalid", 8848, 9848)
    for wanted in Transport:
        found = await ways_to([nobody], wanted).to(nobody)
        assert isinstance(found, Closed)
        assert found.miss is Miss.STARTING
        assert re.fullmatch("the name cannot be resolved: [A-Z][a-z ]+", found.why)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Server:
    """A name of three nodes: two have an open port."""

    async def resolve(_host: str) -> list[str]:
        return ["127.0.0.1", "127.0.0.2", "127.0.0.3"]

    monkeypatch.setattr(ways, "resolve", resolve)
    return Server("nacos-headless", (port := free_port()), port)


async def test_of_a_name_with_several_addresses_an_open_one_is_found(cluster: Server) -> None:
    """However the others fare; where a session has ended the next one is elsewhere, if it can."""
    with socket.create_server(("127.0.0.2", cluster.port)), socket.create_server(("127.0.0.3", cluster.port)):
        found = ways_to([cluster], Transport.AUTO)
        at = []
        for _ in range(4):
            way = await found.to(cluster)
            assert isinstance(way, Way)
            found.left(way.server)
            at.append(way.server.address)
    assert at[:2] == at[2:]
    assert set(at) == {"127.0.0.2", "127.0.0.3"}
    assert str(cluster.at("127.0.0.2")) == f"nacos-headless:{cluster.port}"


async def test_a_name_whose_addresses_are_all_closed_is_closed(cluster: Server) -> None:
    """As a single server that is down is."""
    refused = Closed(Miss.REFUSED, f"port {cluster.port} is closed")
    assert await ways_to([cluster], Transport.AUTO).to(cluster) == refused
    assert await knock([], 1) == Closed(Miss.STARTING, "the name has no address")


async def test_a_port_that_opens_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the next look."""
    monkeypatch.setattr(ways, "LOOKED_FOR_AGAIN_AFTER", 0.02)
    port = free_port()
    looking = spawn(grpc_opens(Server("127.0.0.1", 1, port)), name="look")
    await asyncio.sleep(0.1)
    assert not looking.done()
    with socket.create_server(("127.0.0.1", port)):
        await asyncio.wait_for(looking, PATIENCE)
