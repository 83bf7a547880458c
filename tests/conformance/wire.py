"""One service, one instance that reads by h11, and an app that sends bytes in a way of its choice."""

import asyncio
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tests.support.scripted_peer import OK, ScriptedPeer, Talk
from tests.support.stack import Stack, policy, until
from tests.support.strict_instance import StrictInstance, bytewise
from tests.support.until import PATIENCE

Way = Callable[[Talk, bytes], Awaitable[None]]


async def whole(app: Talk, data: bytes) -> None:
    """In one packet."""
    await app.send(data)


async def in_pieces(app: Talk, data: bytes) -> None:
    """Split at random, though alike in every run."""
    chance = random.Random(data)
    at = 0
    while at < len(data):
        size = chance.randint(1, max(1, len(data) // 5))
        app.writer.write(data[at : at + size])
        await asyncio.sleep(0)
        at += size


WAYS: tuple[Way, ...] = (whole, bytewise, in_pieces)


def cut(packets: Sequence[bytes]) -> Way:
    """In these packets, whatever the bytes are."""

    async def in_packets(app: Talk, _: bytes) -> None:
        for packet in packets:
            app.writer.write(packet)
            await asyncio.sleep(0)

    return in_packets


class Wire:
    """Sends, and tells what came out at either end."""

    def __init__(self, stack: Stack, instance: StrictInstance) -> None:
        self.stack = stack
        self.instance = instance

    async def cross(self, data: bytes, way: Way = whole) -> bytes:
        """All that the app reads until its connection ends; what came to the instance is in `instance`."""
        self.instance.forget()
        async with self.stack.app() as app:
            await way(app, data)
            app.half_close()
            answers = await asyncio.wait_for(app.until_closed(), PATIENCE)
        # An attempt that was broken off has ended at the instance, too: nothing of it is under way any more.
        await until(lambda: self.instance.open == self.stack.cluster.stats.idle_connections)
        return answers


@asynccontextmanager
async def wired(**sections: object) -> AsyncIterator[Wire]:
    """A data path to one strict instance; `sections` replace parts of the policy."""
    async with wired_to(StrictInstance(), **sections) as wire:
        yield wire


@asynccontextmanager
async def wired_to(strict: StrictInstance, **sections: object) -> AsyncIterator[Wire]:
    """The same to an instance of another kind."""
    stack = Stack(policy(**sections))
    async with strict as instance:
        await stack.open(instance.port)
        try:
            yield Wire(stack, instance)
        finally:
            await stack.close()


_HEAD_OF_11 = re.compile(rb"(?i)([^\r\n ]+ [^\r\n ]+ HTTP/1\.1\r\n)(?!(?:[^\r\n]+\r\n)*host:)")


def with_host(data: bytes) -> bytes:
    """Collections often leave Host out; without it HTTP/1.1 is refused for that alone (RFC 9112 §3.2)."""
    return _HEAD_OF_11.sub(rb"\1Host: a\r\n", data)


@dataclass(frozen=True)
class Crossing:
    """Raw bytes as they came out: `x-request-id` is left out where it is ours, for it is another one each time."""

    to_instance: bytes
    to_app: bytes
    connections: int
    """That the instance has seen."""


_OUR_ID = re.compile(rb"x-request-id: [0-9a-f]{8}-[0-9a-f-]{27}\r\n")


async def crossing(
    sent: bytes, answer: bytes = OK, *, closing: bool = False, ends: bool = True, **sections: object
) -> Crossing:
    """An app sends all of `sent` and (`ends`) its FIN; an instance answers each request, and (`closing`) closes then."""

    async def script(talk: Talk) -> None:
        while await talk.request():
            await talk.send(answer)
            if closing:
                return

    stack = Stack(policy(**sections))
    async with ScriptedPeer(script) as peer:
        await stack.open(peer.port)
        try:
            async with stack.app() as app:
                await app.send(sent)
                if ends:
                    app.half_close()
                to_app = await asyncio.wait_for(app.until_closed(), PATIENCE)
        finally:
            await stack.close()
        return Crossing(_OUR_ID.sub(b"", b"".join(peer.requests)), to_app, len(peer.talks))
