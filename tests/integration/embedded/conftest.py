"""One registry a test, and clients of bare messages."""

from collections.abc import AsyncIterator

import pytest

from sidecar.embedded.registry import EmbeddedRegistry
from tests.support.wire_client import WireClient


@pytest.fixture
async def registry() -> AsyncIterator[EmbeddedRegistry]:
    """A registry that pushes without delay, with one instance of `orders`."""
    async with EmbeddedRegistry(push_delay_s=0.0) as registry:
        registry.register("orders", "10.0.0.1", 80)
        yield registry


@pytest.fixture
async def client(registry: EmbeddedRegistry) -> AsyncIterator[WireClient]:
    """A client that was set up."""
    async with WireClient(registry.port) as client:
        await client.set_up()
        yield client
