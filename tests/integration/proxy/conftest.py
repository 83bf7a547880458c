"""A data path in front of scripted instances."""

from collections.abc import AsyncIterator

import pytest

from tests.support.stack import MakeStack, Stack, policy


@pytest.fixture
async def stack() -> AsyncIterator[MakeStack]:
    """Makes stacks, and takes them down."""
    stacks: list[Stack] = []

    def make(**sections: object) -> Stack:
        stacks.append(Stack(policy(**sections)))
        return stacks[-1]

    yield make
    for one in stacks:
        await one.close()
