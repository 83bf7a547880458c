"""A façade for each test."""

from collections.abc import AsyncIterator

import pytest

from tests.support.facade_stage import Stage, stage


@pytest.fixture
async def facade() -> AsyncIterator[Stage]:
    """Guarded, in front of a registry that lists two instances of `orders`."""
    async with stage() as found:
        found.registry.register("orders", "127.0.0.1", 8001)
        found.registry.register("orders", "127.0.0.1", 8002)
        found.believe(8001, 8002)
        yield found
