"""Both faces together."""

import socket

import pytest

from sidecar.clock import monotonic
from sidecar.cluster.stats import ProcessStats
from sidecar.embedded.registry import EmbeddedRegistry
from sidecar.facade.facade import Address, Facade
from tests.support.facade_stage import Stage, registry_of
from tests.support.ports import free_port
from tests.support.until import settled
from tests.support.wire_client import WireClient


async def test_both_ports_are_had_or_none() -> None:
    """One that is taken leaves the other free."""
    port = free_port((0, 1000))
    with socket.create_server(("127.0.0.1", port + 1000)):
        facade = Facade(Address("127.0.0.1", port, 1000), registry_of("a:1"), stats=ProcessStats(), now=monotonic)
        with pytest.raises(OSError, match=str(port + 1000)):
            await facade.open()
    socket.create_server(("127.0.0.1", port)).close()


async def test_a_port_beyond_the_last_is_no_port() -> None:
    """Nothing is bound."""
    facade = Facade(Address("127.0.0.1", 65000, 1000), registry_of("a:1"), stats=ProcessStats(), now=monotonic)
    with pytest.raises(OSError, match="66000"):
        await facade.open()


async def test_any_free_pair_will_do(facade: Stage) -> None:
    """Port 0 finds one, a fixed distance apart."""
    http, grpc = facade.facade.bound, facade.facade.grpc_bound
    assert int(grpc.rpartition(":")[2]) - int(http.rpartition(":")[2]) == 1000


async def test_other_servers_are_taken_without_a_restart(facade: Stage) -> None:
    """Whoever is connected to one that is none of them comes anew, and gets to one of them."""
    async with EmbeddedRegistry() as other, WireClient(facade.port) as client:
        await client.set_up()
        facade.facade.stand_for(registry_of(other.address))
        await client.ended_with()
        await settled(lambda: not len(facade.registry.connections))
        async with WireClient(facade.port) as again:
            await again.set_up()
            assert len(other.connections) == 1


async def test_who_stays_connected_keeps_its_server(facade: Stage) -> None:
    """A list of servers that has one more changes nothing for it."""
    async with EmbeddedRegistry() as other, WireClient(facade.port) as client:
        await client.set_up()
        facade.facade.stand_for(registry_of(facade.registry.address, other.address))
        assert await client.query("orders") == ["127.0.0.1:8001", "127.0.0.1:8002"]
        assert len(facade.registry.connections) == 1
