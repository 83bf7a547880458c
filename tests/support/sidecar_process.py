"""A real `nacos-sidecar run` in a process of its own, and what a user sees of it: admin port, events, exit code."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.support.http_client import Answer, request
from tests.support.process import Child
from tests.support.until import until


class SidecarProcess:
    """One process; its event log is JSON on stderr, its access log goes where the configuration says."""

    def __init__(
        self, folder: Path, *arguments: str, environ: Mapping[str, str] | None = None, by: Sequence[str] = ()
    ) -> None:
        """`by`: what its command line begins with, where it is to run as another user."""
        self.folder = folder
        self.config = folder / "sidecar.yaml"
        self.child = Child(
            [*by, sys.executable, "-m", "sidecar", "run", "-c", str(self.config), "--log-format", "json", *arguments],
            log=folder / "sidecar.log",
            environment={**_clean_environment(), **(environ or {})},
        )

    def events(self, kind: str | None = None) -> list[dict[str, Any]]:
        """The event log so far, as far as its lines are whole."""
        whole, _, _ = self.child.output().rpartition("\n")
        lines = (line for line in whole.splitlines() if line.startswith("{"))
        events = [json.loads(line) for line in lines]
        return [event for event in events if "event" in event and kind in {None, event["event"]}]

    async def event(self, kind: str, *, count: int = 1) -> dict[str, Any]:
        """The `count`-th event of a kind, once it is there."""

        async def there() -> bool:
            if self.child.exit_code is not None and len(self.events(kind)) < count:
                raise AssertionError(f"ended with {self.child.exit_code}:\n{self.child.tail()}")
            return len(self.events(kind)) >= count

        await until(there, pause=0.02)
        return self.events(kind)[count - 1]

    async def bound(self, name: str, *, count: int = 1) -> int:
        """The port of a listener, by its name."""

        async def there() -> bool:
            await self.event("listening")
            return len(self._addresses(name)) >= count

        await until(there, pause=0.02)
        return int(self._addresses(name)[count - 1].rpartition(":")[2])

    async def admin(self, path: str, *, method: str = "GET") -> Answer:
        """An answer of the admin port."""
        return await request(await self.bound("admin"), method, path)

    async def clusters(self) -> list[dict[str, Any]]:
        """`/clusters?format=json`."""
        found: list[dict[str, Any]] = json.loads((await self.admin("/clusters?format=json")).body)["clusters"]
        return found

    async def metric(self, series: str) -> float:
        """The value of one series, as it stands in the exposition; 0 when it is not there."""
        for line in (await self.admin("/metrics")).body.decode().splitlines():
            name, _, value = line.rpartition(" ")
            if name == series:
                return float(value)
        return 0.0

    async def ready(self) -> None:
        """Returns when /readyz says so."""

        async def yes() -> bool:
            return (await self.admin("/readyz")).status == 200

        await until(yes)

    def open_files(self, name: str) -> int:
        """How many descriptors it holds on files of this name."""
        links = Path(f"/proc/{self.child.pid}/fd").iterdir()
        return sum(os.path.basename(os.path.realpath(link)) == name for link in links)  # noqa: PTH119 - links may vanish

    def _addresses(self, name: str) -> list[str]:
        return [event["address"] for event in self.events("listening") if event["name"] == name]


@asynccontextmanager
async def running(
    folder: Path, text: str, *arguments: str, environ: Mapping[str, str] | None = None, by: Sequence[str] = ()
) -> AsyncIterator[SidecarProcess]:
    """Starts a sidecar on this configuration; it is ended with the block, drained or not.

    `by`: what its command line begins with, to run it elsewhere or as another user.
    """
    (folder / "sidecar.yaml").write_text(text)
    process = SidecarProcess(folder, *arguments, environ=environ, by=by)
    try:
        yield process
    finally:
        await asyncio.shield(process.child.terminate(within=10.0))


def _clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("SIDECAR_", "NACOS_"))}
