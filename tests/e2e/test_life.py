"""The life of one sidecar under load: reloads, other ports, other instances, the shared listener off and on, and its end.

No call may be lost, none carried out twice, and none by an instance that was not listed any more when it was made.
Retries are off, so that what a reload breaks is not mended.
"""

import asyncio
import itertools
import json
import signal
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

import pytest

from sidecar.tasks import spawn
from tests.support.plain_provider import PlainProvider, plain_providers
from tests.support.ports import free_port
from tests.support.scripted_peer import Talk, connected
from tests.support.sidecar_process import SidecarProcess, running
from tests.support.stack import Answer, ask
from tests.support.until import settled

pytestmark = pytest.mark.own_process

CALLERS = 20
"""Of each kind: those that keep a connection for as long as they live, and those that make one for each call."""

EVERY = 0.08
"""Seconds from one call of a caller to its next: 500 calls a second in all, or as many as the machine can do."""

CALLS = 200
"""Under each configuration, at least."""

THINKS = 0.02
"""Seconds that an instance takes for an answer: at each moment some calls are under way."""


@dataclass(frozen=True, slots=True)
class Setup:
    """One configuration: ports all of which lead to the same instances."""

    instances: Sequence[PlainProvider]
    orders: int | None = None
    stock: int | None = None
    """Of another service, which has come by a port of the first."""
    shared: int | None = None

    @property
    def doors(self) -> set[int]:
        return {port for port in (self.orders, self.stock, self.shared) if port is not None}

    @property
    def listed(self) -> set[int]:
        return {instance.port for instance in self.instances}

    def text(self) -> str:
        addresses = ", ".join(instance.address for instance in self.instances)
        services = {"orders": self.orders, "stock": self.stock}
        return (
            "version: 1\n"
            f"listen: {_address(self.shared)}\n"
            "admin: {listen: 127.0.0.1:0}\n"
            "access_log: {path: none}\n"
            "drain: {timeout: 120s}\n"
            "defaults: {retry: {retry_on: []}, timeouts: {connect: 60s, response: 120s}}\n"
            "services:\n"
            + "".join(
                f"  - {{name: {name}, listen: {_address(port)}, discovery: {{static: [{addresses}]}}}}\n"
                for name, port in services.items()
                if port is not None or name == "orders"
            )
        )


def _address(port: int | None) -> str:
    return "null" if port is None else f"127.0.0.1:{port}"


class Apps:
    """Their calls, GET and POST in turn, each with an id of its own; a call that is not answered is a loss."""

    def __init__(self, setup: Setup) -> None:
        self.doors: Sequence[int] = ()
        """Where they knock now."""
        self._listed: AbstractSet[int] = set()
        self.reach(setup.doors, setup.listed)
        self.made: list[str] = []
        """`METHOD ID` of all calls, as the providers write down those that they carry out."""
        self.answered = 0
        self.lost: list[str] = []
        self._callers: list[asyncio.Task[None]] = []
        self._over = False

    def start(self) -> None:
        for number in range(CALLERS):
            self.keep_more(self.doors[number % len(self.doors)])
            self._callers.append(spawn(self._come_and_go(number), name="comer"))

    def keep_more(self, port: int) -> None:
        """One more connection that is kept."""
        self._callers.append(spawn(self._keep(port), name="keeper"))

    def reach(self, doors: AbstractSet[int], listed: AbstractSet[int]) -> None:
        """From now on they knock there, and ask one of these instances."""
        self.doors, self._listed = sorted(doors), listed

    async def stop(self) -> None:
        """Each ends its call and lets go of its connection."""
        self._over = True
        await asyncio.gather(*self._callers)

    async def many(self, calls: int = CALLS) -> None:
        """Returns when so many more have been answered, or one was lost."""
        enough = self.answered + calls
        await settled(lambda: self.answered >= enough or bool(self.lost))

    async def _keep(self, port: int) -> None:
        async with connected(port) as talk:
            async for number in self._turns():
                if not await self._call(talk, number):
                    return

    async def _come_and_go(self, first: int) -> None:
        async for number in self._turns(first):
            try:
                async with connected(self.doors[number % len(self.doors)]) as talk:
                    await self._call(talk, number)
            except ConnectionError as error:
                self.lost.append(f"not connected: {error}")

    async def _turns(self, first: int = 0) -> AsyncIterator[int]:
        """When the next call is due; one that is late waits for nobody, but is not made up for."""
        loop = asyncio.get_running_loop()
        number, due = first, loop.time()
        while not self._over:
            yield number
            number, due = number + 1, max(due + EVERY, loop.time())
            await asyncio.sleep(due - loop.time())

    async def _call(self, talk: Talk, number: int) -> bool:
        name = f"c{len(self.made)}"
        method = ("GET", "POST")[number % 2]
        self.made.append(f"{method} {name}")
        listed = self._listed
        try:
            answer = await ask(talk, _request(method, name))
        except (ConnectionError, asyncio.IncompleteReadError, TimeoutError) as error:
            answer = Answer(0, b"", repr(error).encode())
        said = json.loads(answer.body) if answer.status == 200 else {}
        if said.get("id") == name and said["port"] in listed | self._listed:
            self.answered += 1
            return True
        self.lost.append(f"{method} {name}: {answer.status} {answer.error} {answer.body!r}")
        return False


def _request(method: str, name: str) -> bytes:
    if method == "GET":
        return f"GET /{name} HTTP/1.1\r\nHost: orders\r\n\r\n".encode()
    return f"POST / HTTP/1.1\r\nHost: orders\r\nx-request-id: {name}\r\nContent-Length: 5\r\n\r\nhello".encode()


def _story(one: PlainProvider, two: PlainProvider, three: PlainProvider) -> list[Setup]:
    """A first configuration and ten that follow it, each of which shares a port with the one before."""
    a, b, c, d = (free_port() for _ in range(4))
    return [
        Setup([one, two, three], orders=a, shared=c),
        Setup([two, three], orders=b, shared=c),  # moved
        Setup([three, one], orders=b),  # shared off
        Setup([one, two], orders=b, shared=d),  # and on, elsewhere
        Setup([two, three], shared=d),  # no port of its own
        Setup([three], orders=a, shared=d),
        Setup([one], orders=a),
        Setup([two], orders=b, stock=a),  # another service's now
        Setup([two], orders=b, shared=a),  # and for everybody
        Setup([three, one], orders=a, shared=b),  # changed round
        Setup([one, two, three], orders=a, shared=c),  # as it was
    ]


async def _reload(process: SidecarProcess, apps: Apps, old: Setup, new: Setup) -> None:
    """Nobody knocks where nobody will listen; connections that are there stay."""
    apps.reach(old.doors & new.doors, old.listed | new.listed)
    process.config.write_text(new.text())
    answer = await process.admin("/reload", method="POST")
    assert answer.status == 200, answer.body
    apps.reach(new.doors, new.listed)
    for port in new.doors - old.doors:
        apps.keep_more(port)


async def test_reloads_and_the_end_under_load_lose_no_call(tmp_path: Path) -> None:
    """Ten reloads that add, remove, move and swap ports, then SIGTERM: each call is answered, and carried out once."""
    async with plain_providers(tmp_path, 3, delay=THINKS) as providers:
        story = _story(*providers)
        async with running(tmp_path, story[0].text(), "--reload-poll", "0s") as process:
            await process.ready()
            apps = Apps(story[0])
            apps.start()
            await apps.many()
            for old, new in itertools.pairwise(story):
                await _reload(process, apps, old, new)
                await apps.many()
                assert not apps.lost, f"under {new}"
            process.child.signal(signal.SIGTERM)
            await process.event("drain_started")
            await apps.many()
            await apps.stop()
            assert not apps.lost
            assert await process.child.ended() == 0
            assert (await process.event("drain_ended"))["cut"] == 0
        executed = Counter(call for provider in providers for call in provider.executed())
        assert executed == Counter(apps.made)
