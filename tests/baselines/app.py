"""The app: one call after the other over a connection that it keeps, at moments that the row chooses."""

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.support.scripted_peer import Talk, connected

PATIENCE = 3.0
"""Seconds that the app waits for an answer."""


@dataclass
class Outcome:
    """What became of the calls of one row."""

    calls: int = 0
    failed: int = 0
    """Not answered 200 in time."""
    duplicated: int = 0
    """Carried out more than once."""
    answers: list[str] = field(default_factory=list)
    """How the failed ones ended."""

    @property
    def share(self) -> float:
        """Of failed calls, in percent."""
        return 100 * self.failed / max(1, self.calls)


class App:
    """Calls are numbered, and an instance finds the number in the field `x-call`."""

    def __init__(self, port: int, *, body: int | None = None) -> None:
        """Calls are GETs, or POSTs with a body of `body` bytes."""
        self.outcome = Outcome()
        self._port = port
        self._body = None if body is None else b"x" * body
        self._numbers = itertools.count()

    async def call(self, times: int, pause: Callable[[], float]) -> Outcome:
        """Until so many calls have ended, each `pause()` seconds after the end of the one before."""
        while self.outcome.calls < times:
            try:
                async with connected(self._port) as talk:
                    usable = True
                    while usable and self.outcome.calls < times:
                        usable = await self._one(talk)
                        await asyncio.sleep(pause())
            except OSError as error:
                self._failed(f"the connection: {error.strerror}")
                await asyncio.sleep(pause())
        return self.outcome

    async def _one(self, talk: Talk) -> bool:
        """Whether the connection can be used again."""
        try:
            async with asyncio.timeout(PATIENCE):
                head = await self._asked(talk)
        except TimeoutError:
            self._failed(f"no answer within {PATIENCE:.0f} s")
            return False
        except (ConnectionError, asyncio.IncompleteReadError):
            self._failed("the connection ended")
            return False
        if not head:
            self._failed("the connection ended")
            return False
        status = head[9:12]
        self.outcome.calls += 1
        if status != b"200":
            self.outcome.failed += 1
            self.outcome.answers.append(status.decode())
        return b"\r\nconnection: close" not in head.lower()

    async def _asked(self, talk: Talk) -> bytes:
        number = next(self._numbers)
        method, length = (b"GET", b"") if self._body is None else (b"POST", b"Content-Length: %d\r\n" % len(self._body))
        fields = b"Host: instances\r\nx-call: %d\r\n%b" % (number, length)
        await talk.send(b"%b /call/%d HTTP/1.1\r\n%b\r\n" % (method, number, fields), self._body or b"")
        head = await talk.head()
        if head:
            await talk.body(head)
        return head

    def _failed(self, how: str) -> None:
        self.outcome.calls += 1
        self.outcome.failed += 1
        self.outcome.answers.append(how)
