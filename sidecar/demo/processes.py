"""The processes of the stage: started, watched, and ended by their own ids whatever happens."""

import asyncio
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Self

from sidecar.clock import monotonic

FOREIGN = ("SIDECAR_", "NACOS_")
"""Variables that configure a sidecar: the user's own shall not reach the one on the stage."""

_GRACE = 5.0
"""Seconds that a process gets to end by itself before it is killed."""

_LOOK, _LOOK_AT_END = 0.1, 0.02
"""Seconds between two looks at something that is to come true, and at a process that is ending."""

_PORTS = range(12_000, 31_000)
"""Below the range that the kernel takes for outgoing connections: such a port is still free after a restart."""


class StageError(Exception):
    """The demo's own machinery failed; this says nothing about the sidecar."""


class Stage:
    """A folder of logs and the processes that write them; leaving it ends them all, the first one last.

    Where we are killed, the kernel kills them (`leash`).

    `deadline` is on `clock.monotonic`: nothing is waited for beyond it.
    """

    def __init__(self, folder: Path, *, deadline: float) -> None:
        self.folder = folder
        self._deadline = deadline
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._ending: set[str] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        names = list(self._running)
        try:
            await asyncio.gather(*(self.end(name) for name in names[1:]))
            await asyncio.gather(*(self.end(name) for name in names[:1]))
        finally:
            self._kill_all()

    def start(self, name: str, module: str, *arguments: str) -> None:
        """Runs `python -m module arguments…`; what it prints goes to `name.log`."""
        with self._log(name).open("ab") as log:
            self._running[name] = subprocess.Popen(  # noqa: S603 - our own command line
                [sys.executable, "-m", "sidecar.demo.leash", str(os.getpid()), module, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={key: value for key, value in os.environ.items() if not key.startswith(FOREIGN)},
                start_new_session=True,  # Ctrl-C reaches the demo alone, which ends everybody in order
            )

    async def end(self, name: str) -> None:
        """SIGTERM, patience, and only then SIGKILL."""
        process = self._running[name]
        self._ending.add(name)
        process.terminate()
        try:
            async with asyncio.timeout(_GRACE):
                await _gone(process)
        except TimeoutError:
            process.kill()
            await _gone(process)
        self._ending.remove(name)
        del self._running[name]

    def check(self) -> None:
        """Raises StageError when a process has ended that nobody has asked to."""
        for name, process in self._running.items():
            if name not in self._ending and process.poll() is not None:
                raise StageError(f"{name} ended with {process.returncode}: {self._last_words(name)}")

    async def until(self, come_true: Callable[[], Awaitable[bool]], what: str) -> None:
        """Waits for it; raises StageError when a process has ended meanwhile, or the time is up."""
        while not await come_true():
            self.check()
            if monotonic() > self._deadline:
                raise StageError(f"the machine is too busy: no time left to wait until {what}")
            await asyncio.sleep(_LOOK)

    def pid(self, name: str) -> int:
        """Of a process that was started."""
        return self._running[name].pid

    def output(self, name: str) -> str:
        """All that the process has printed so far."""
        return self._log(name).read_text(errors="replace")

    def _last_words(self, name: str) -> str:
        return self.output(name)[-2000:].strip() or "it printed nothing"

    def _kill_all(self) -> None:
        """Those that are still there after a second Ctrl-C, or an error while ending."""
        for process in self._running.values():
            process.kill()
            process.wait()

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"


async def _gone(process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:  # noqa: ASYNC110 - the kernel tells it to threads only
        await asyncio.sleep(_LOOK_AT_END)


def free_ports(count: int) -> list[int]:
    """Different ports of 127.0.0.1 that nobody uses just now."""
    found: set[int] = set()
    while len(found) < count:
        port = _PORTS[secrets.randbelow(len(_PORTS))]
        if _is_free(port):
            found.add(port)
    return list(found)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
