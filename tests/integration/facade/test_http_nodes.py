"""Requests to the real servers."""

import ssl
from random import Random

import pytest

from sidecar.discovery.options import Server
from sidecar.facade.http1 import NotHttpError, Response, request_head
from sidecar.facade.http_nodes import AwayError, HttpNodes, whole
from sidecar.facade.registry import Registry, Tls
from tests.support.facade_stage import registry_of
from tests.support.ports import free_port
from tests.support.scripted_peer import ScriptedPeer, Talk

GET = request_head("GET", "/", [(b"Host", b"n")], chunked=False)


async def test_a_server_that_refuses_costs_nothing() -> None:
    """The next one is asked, and first the next time."""
    async with ScriptedPeer() as peer:
        nodes = HttpNodes(registry_of(f"127.0.0.1:{free_port()}", peer.address))
        for _ in range(2):
            async with nodes.exchange("GET") as exchange:
                await exchange.send(GET)
                head, body = await whole(exchange, 100)
            assert isinstance(head, Response)
            assert (head.status, body) == (200, b"ok")
        assert str(nodes.registry.in_turn()[0]) == peer.address


async def test_no_server_is_said_to_be_none() -> None:
    """Nothing was sent."""
    nodes = HttpNodes(registry_of(f"127.0.0.1:{free_port()}"))
    with pytest.raises(AwayError):
        async with nodes.exchange("GET"):
            pass


async def test_a_list_beyond_the_limit_is_refused() -> None:
    """It would be kept in memory."""
    async with ScriptedPeer() as peer, HttpNodes(registry_of(peer.address)).exchange("GET") as exchange:
        await exchange.send(GET)
        with pytest.raises(NotHttpError, match="more than 1 bytes"):
            await whole(exchange, 1)


async def test_a_server_that_says_nothing_has_not_answered() -> None:
    """It closed the connection."""

    async def script(talk: Talk) -> None:
        await talk.request()

    async with ScriptedPeer(script) as peer, HttpNodes(registry_of(peer.address)).exchange("GET") as exchange:
        await exchange.send(GET)
        with pytest.raises(NotHttpError):
            await whole(exchange, 100)


async def test_files_that_will_not_do_are_as_bad_as_no_server() -> None:
    """Where lists are fetched it is told why."""

    def context() -> ssl.SSLContext:
        raise ValueError("no such file")

    async def trust(_node: object) -> None:
        raise ValueError("no such file")

    async with ScriptedPeer() as peer:
        node = Server.parse(peer.address, grpc_port_offset=1000)
        nodes = HttpNodes(Registry([node], Tls(trust, context), rng=Random(1)))  # type: ignore[arg-type]
        with pytest.raises(AwayError):
            async with nodes.exchange("GET"):
                pass
