"""A relay in front of scripted instances."""

import pytest

from sidecar.cluster.policy import Protocol
from tests.support.scripted_peer import Talk
from tests.support.stack import MakeStack, Stack


async def echo(talk: Talk) -> None:
    """Says what it hears, until the end."""
    while data := await talk.reader.read(65536):
        await talk.send(data)


@pytest.fixture
def tcp(stack: MakeStack) -> MakeStack:
    """Makes stacks for a service of another protocol."""

    def make(**sections: object) -> Stack:
        return stack(protocol=Protocol.TCP, **sections)

    return make
