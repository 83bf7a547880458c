"""A relay in front of scripted instances."""

from typing import Any

import pytest

from sidecar.cluster.policy import Protocol
from tests.support.scripted_peer import Talk
from tests.support.stack import MakeStack, Stack
from tests.support.until import settled


async def echo(talk: Talk) -> None:
    """Says what it hears, until the end."""
    while data := await talk.reader.read(65536):
        await talk.send(data)


async def relay_of(stack: Stack) -> Any:
    """That of the only connection, once the app's connect has been accepted."""
    await settled(lambda: len(stack.runtime.connections) == 1)
    (connection,) = stack.runtime.connections
    return connection.relay  # type: ignore[attr-defined]


@pytest.fixture
def tcp(stack: MakeStack) -> MakeStack:
    """Makes stacks for a service of another protocol."""

    def make(**sections: object) -> Stack:
        return stack(protocol=Protocol.TCP, **sections)

    return make
