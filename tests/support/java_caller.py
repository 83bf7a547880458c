"""A Java app that goes on calling the addresses of an old list: see `tests/fixtures/java/caller`.

`through`: the port of a forward proxy, told to the JVM by the flag that is all an operator changes; None: it calls
directly.
"""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from tests.support.process import Child
from tests.support.until import until

TOOLS = ("java", "javac")

_SOURCE = Path(__file__).resolve().parents[1] / "fixtures" / "java" / "caller" / "Caller.java"
_JVM = ("-Xmx64m", "-Xss512k", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
_CLIENTS = ("url", "http")


def proxy_flag(port: int) -> tuple[str, ...]:
    """What goes into JAVA_TOOL_OPTIONS."""
    return ("-Dhttp.proxyHost=127.0.0.1", f"-Dhttp.proxyPort={port}", "-Dhttp.nonProxyHosts=")


class Call(NamedTuple):
    """One call as the app saw it; status 0: it got an error instead of an answer, which is then the body."""

    client: str
    method: str
    id: str
    dialled: str
    status: int
    body: str


class JavaCaller:
    """Calls without end, a hundred a second or so, from `start` to the end of the block."""

    def __init__(
        self,
        name: str,
        addresses: Sequence[str],
        *,
        folder: Path,
        through: int | None = None,
        by: Sequence[str] = (),
    ) -> None:
        """`by`: what its command line begins with, where it is to run as another user."""
        self._pause = folder / f"{name}.pause"
        flags = () if through is None else proxy_flag(through)
        self._command = [*by, "java", *_JVM, *flags, str(_SOURCE), str(self._pause), name, *addresses]
        self._log = folder / f"{name}.log"
        self._child: Child | None = None

    async def __aenter__(self) -> Self:
        self._child = Child(self._command, log=self._log)
        await self.goes_on()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running().kill()

    def calls(self) -> list[Call]:
        """All so far, in order."""
        whole, _, _ = self._running().output().rpartition("\n")
        found = []
        for line in whole.splitlines():
            if len(words := line.split(" ", 5)) == 6 and words[0] in _CLIENTS:
                client, method, number, dialled, status, body = words
                found.append(Call(client, method, number, dialled, int(status), body))
        return found

    async def goes_on(self, more: int = 24) -> None:
        """Each of its clients has made so many calls more, from now on."""
        before = self._counts()

        async def done() -> bool:
            if (code := self._running().exit_code) is not None:
                raise AssertionError(f"ended with {code}:\n{self._running().tail()}")
            return all(now - then >= more for now, then in zip(self._counts(), before, strict=True))

        await until(done)

    async def pause(self) -> None:
        """Returns when no call is in flight, and none will be until `go`."""
        before = self._paused()
        self._pause.touch()

        async def done() -> bool:
            return self._paused() == before + len(_CLIENTS)

        await until(done)

    def go(self) -> None:
        """After `pause`."""
        self._pause.unlink()

    def _counts(self) -> list[int]:
        calls = self.calls()
        return [sum(call.client == client for call in calls) for client in _CLIENTS]

    def _paused(self) -> int:
        return sum(line.endswith(" paused") for line in self._running().output().splitlines())

    def _running(self) -> Child:
        if self._child is None:
            raise RuntimeError(f"{self._command} has not begun")
        return self._child
