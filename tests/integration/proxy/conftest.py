"""A data path in front of scripted instances."""

from collections.abc import AsyncIterator

import pytest

from sidecar.proxy import transparent
from tests.support.redirects import Kernel
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


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    """Says where connections to the transparent listener were meant to go."""
    found = Kernel()
    monkeypatch.setattr(transparent, "original_destination", lambda _: found.meant)
    monkeypatch.setattr(transparent, "owner", lambda _, __: found.owner)
    return found
