"""The relay that lies to a client about lists, before the project's own registry."""

import json

from sidecar.embedded.registry import EmbeddedRegistry
from tests.support.http_client import request
from tests.support.wire_client import WireClient
from tests.trial.liar import lying

FIRST, SECOND = "127.0.0.1:1001", "127.0.0.1:1002"


async def test_lists_are_true_until_it_lies_and_after_it_confessed() -> None:
    """Told to a subscriber at once, both times, and to whoever asks meanwhile; HTTP knows nothing of it."""
    async with EmbeddedRegistry() as registry, lying(registry.port) as liar:
        for port in (1001, 1002):
            registry.register("orders", "127.0.0.1", port)
        port = int(liar.address.rpartition(":")[2])
        async with WireClient(port) as client:
            await client.set_up()
            assert sorted(await client.subscribe("orders")) == [FIRST, SECOND]
            await pushed(client, [FIRST, SECOND])
            await liar.lie(lambda hosts: [host for host in hosts if host["port"] == 1001])
            await pushed(client, [FIRST])
            assert await client.query("orders") == [FIRST]
            await liar.confess()
            await pushed(client, [FIRST, SECOND])
            assert sorted(await client.query("orders")) == [FIRST, SECOND]
        listed = await request(port, path="/nacos/v1/ns/instance/list?serviceName=orders")
        assert len(json.loads(listed.body)["hosts"]) == 2


async def test_a_frozen_list_does_not_follow_the_registry() -> None:
    """Neither in pushes nor in answers, until it confesses."""
    async with EmbeddedRegistry() as registry, lying(registry.port) as liar:
        registry.register("orders", "127.0.0.1", 1001)
        async with WireClient(int(liar.address.rpartition(":")[2])) as client:
            await client.set_up()
            await client.subscribe("orders")
            await liar.freeze()
            registry.register("orders", "127.0.0.1", 1002)
            await pushed(client, [FIRST])
            assert await client.query("orders") == [FIRST]
            await liar.confess()
            await pushed(client, [FIRST, SECOND])


async def test_a_client_loses_its_connection_with_the_server() -> None:
    """The relay pretends nothing: what ends at the server ends at the client."""
    async with (
        EmbeddedRegistry() as registry,
        lying(registry.port) as liar,
        WireClient(int(liar.address.rpartition(":")[2])) as client,
    ):
        await client.set_up()
        assert len(registry.connections) == 1
        await registry.stop()
        assert await client.told() == ("", {})


async def pushed(client: WireClient, addresses: list[str]) -> None:
    """Returns with the first push of exactly these."""
    while sorted(await client.pushed()) != addresses:
        pass
