"""The processes of the stage: started, watched, and ended by their own ids whatever happens."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Self

_GRACE = 10.0
"""Seconds that a process gets to end by itself before it is killed."""


class Stage:
    """A folder of logs and the processes that write them; leaving it ends them all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._running: dict[str, asyncio.subprocess.Process] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(self.end(name) for name in list(self._running)))

    async def start(self, name: str, module: str, *arguments: str, env: Mapping[str, str] | None = None) -> None:
        """Runs `python -m module arguments…`; what it prints goes to `name.log`."""
        with self._log(name).open("ab") as log:
            self._running[name] = await asyncio.create_subprocess_exec(
                sys.executable, "-m", module, *arguments,
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, **(env or {})},
            )  # fmt: skip

    async def end(self, name: str) -> None:
        """SIGTERM, patience, and only then SIGKILL."""
        process = self._running.pop(name)
        if process.returncode is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), _GRACE)
        except TimeoutError:
            process.kill()
            await process.wait()

    def check(self) -> None:
        """Raises StageError when a process that should run has ended by itself."""
        for name, process in self._running.items():
            if process.returncode is not None:
                raise StageError(f"{name} ended with {process.returncode}: {self.last_words(name)}")

    def last_words(self, name: str) -> str:
        """The end of what the process printed."""
        return self._log(name).read_text(errors="replace")[-2000:].strip() or "it printed nothing"

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"


class StageError(Exception):
    """The demo's own machinery failed; this says nothing about the sidecar."""


def free_ports(count: int, *, pair_offset: int = 0) -> list[int]:
    """Ports of 127.0.0.1 that nobody uses just now; with `pair_offset`, port + offset is free as well."""
    held: list[socket.socket] = []
    found: list[int] = []
    try:
        while len(found) < count:
            port = _bind(held, 0)
            if pair_offset and (port + pair_offset > 65535 or not _try_bind(held, port + pair_offset)):
                continue
            found.append(port)
    finally:
        for one in held:
            one.close()
    return found


def _bind(held: list[socket.socket], port: int) -> int:
    one = socket.socket()
    held.append(one)
    one.bind(("127.0.0.1", port))
    bound: int = one.getsockname()[1]
    return bound


def _try_bind(held: list[socket.socket], port: int) -> bool:
    try:
        _bind(held, port)
    except OSError:
        return False
    return True
