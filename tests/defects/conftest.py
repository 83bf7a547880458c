"""The registry that the library and our sessions are held against."""

from collections.abc import AsyncIterator

import pytest

from sidecar.embedded.faults import PushTiming
from sidecar.embedded.registry import EmbeddedRegistry


@pytest.fixture
async def registry() -> AsyncIterator[EmbeddedRegistry]:
    """One instance of `orders`, 127.0.0.1:8081; changes are pushed at once.

    Without the second push: its ack may be on its way when a test ends the stream, and wake the library up.
    """
    async with EmbeddedRegistry() as registry:
        await registry.apply(PushTiming(delay_s=0.0, second=False))
        registry.register("orders", "127.0.0.1", 8081)
        yield registry
