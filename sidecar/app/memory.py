"""Keeps the memory of addresses: swept as time passes, and on disk for the next process."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from sidecar.cluster.addresses import Addresses
from sidecar.cluster.events import Event, SnapshotWriteFailed
from sidecar.cluster.stats import ProcessStats
from sidecar.discovery.departed import DepartedFile
from sidecar.discovery.gradual import A_TURN
from sidecar.discovery.last_good import Ignored
from sidecar.tasks import spawn

PAUSE = 1.0
"""Seconds from one write to the next: a rolling restart changes what has left every few seconds."""

PAUSE_AFTER_FAILURE = 10.0


class Memory:
    """One file, or none; a reload may move it."""

    def __init__(
        self,
        addresses: Addresses,
        emit: Callable[[Sequence[Event]], None],
        stats: ProcessStats,
        *,
        now: Callable[[], float],
    ) -> None:
        self._addresses = addresses
        self._emit = emit
        self._stats = stats
        self._now = now
        self._file: DepartedFile | None = None
        self._folder: Path | None = None
        self._kept = 0
        """`Addresses.changes` as it was when the file was written."""
        self._pause_until = float("-inf")
        self._saving: asyncio.Task[None] | None = None
        self._failing = False

    def follow(self, folder: Path | None, memory: float) -> None:
        """Puts a configuration in force: the folder of the lists, and seconds for which addresses are remembered."""
        self._addresses.memory = memory
        if folder != self._folder:
            self._folder = folder
            self._file = None if folder is None else DepartedFile(folder)
            self._kept = 0

    async def load(self) -> Ignored | None:
        """Takes over what an earlier process kept; why it does not, if it does not."""
        if self._file is None:
            return None
        found = self._file.load(self._now())
        if isinstance(found, Ignored):
            return found
        for start in range(0, len(found), A_TURN):
            self._addresses.restore(found[start : start + A_TURN], self._now())
            await asyncio.sleep(0)  # calls go on meanwhile
        self._kept = self._addresses.changes
        return None

    def slow_beat(self, now: float) -> None:
        """Forgets what has been away for too long, and writes what has changed."""
        self._addresses.sweep(now)
        if self._is_stale and now >= self._pause_until and self._saving is None:
            self._saving = spawn(self._save(), name="addresses that left")

    async def close(self) -> None:
        """Writes what is not written yet."""
        if self._saving is not None:
            await self._saving
        if self._is_stale:
            await self._save()

    @property
    def _is_stale(self) -> bool:
        return self._file is not None and self._addresses.memory > 0 and self._kept != self._addresses.changes

    async def _save(self) -> None:
        assert self._file is not None  # noqa: S101 - callers have asked
        now = self._now()
        self._pause_until = now + PAUSE
        self._kept = self._addresses.changes
        try:
            await self._file.save(self._addresses.departed(), now)
        except OSError as error:
            self._stats.snapshot_write_errors += 1
            if not self._failing:
                self._emit([SnapshotWriteFailed(error=str(error))])
            self._failing = True
            self._kept, self._pause_until = -1, now + PAUSE_AFTER_FAILURE
        else:
            self._failing = False
        finally:
            self._saving = None
