"""Taking a changed configuration: when to look, one at a time, all or nothing, and what to say about it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sidecar.admin.views import Reloaded, Result, Unbound
from sidecar.app.listeners import CannotBindError
from sidecar.app.logs import CannotOpenLogError
from sidecar.cluster.events import ReloadApplied, ReloadRejected
from sidecar.config import ConfigError, Loaded, fingerprint
from sidecar.config.reload import compare
from sidecar.tasks import spawn

if TYPE_CHECKING:
    from sidecar.app.sidecar import Sidecar


_AGAIN = "reload again: SIGHUP, or POST /reload"
"""The remedy where nothing of the file has to change."""

_GONE = 2
"""Looks in a row that find no file until it counts as gone, and not as one that is just being swapped."""


@dataclass(frozen=True, slots=True)
class _Change:
    """One difference, as the admin port shows it."""

    op: str
    path: str


class Reloader:
    """Watches one file by its content: mounted ConfigMaps are swapped in ways that no file event tells."""

    def __init__(self, load: Callable[[], Loaded], *, poll: float) -> None:
        self._load = load
        self._poll = poll
        self._one_at_a_time = asyncio.Lock()
        self._refused: str | None = None
        self._polling: asyncio.Task[None] | None = None
        self.last_ok = True

    def watch(self, sidecar: "Sidecar") -> None:
        """Compares the content every `poll` seconds; 0 seconds: never."""
        if self._poll:
            self._polling = spawn(self._watch(sidecar), name="configuration poll")

    async def close(self) -> None:
        """Stops to look."""
        if self._polling is not None:
            self._polling.cancel()
            await asyncio.gather(self._polling, return_exceptions=True)

    async def reload(self, sidecar: "Sidecar") -> Reloaded:
        """Reads the file now; a file that is refused, or cannot be put in force, changes nothing."""
        async with self._one_at_a_time:
            outcome = await self._reload(sidecar)
        self.last_ok = outcome.result in {Result.APPLIED, Result.UNCHANGED}
        word = {Result.APPLIED: "applied", Result.UNCHANGED: "unchanged"}.get(outcome.result, "rejected")
        sidecar.stats.reloads[word] += 1
        return outcome

    async def _reload(self, sidecar: "Sidecar") -> Reloaded:
        old = sidecar.loaded
        try:
            loaded = await asyncio.to_thread(self._load)
            self._refused = loaded.sha256
            changes = await asyncio.to_thread(compare, old.config, loaded.config)
            if loaded.sha256 == old.sha256 and not changes:
                await sidecar.refresh()
                if not self.last_ok:  # whoever was told of the refusal is told of its end
                    sidecar.emit([ReloadApplied(changes=0, sha256=loaded.sha256)])
                return Reloaded(Result.UNCHANGED, loaded.sha256)
            await sidecar.take(loaded)
        except ConfigError as error:
            self._refused = await asyncio.to_thread(fingerprint, old.path)
            sidecar.emit([ReloadRejected(problems=tuple(str(problem) for problem in error.problems))])
            return Reloaded(Result.INVALID, problems=error.problems)
        except (CannotBindError, CannotOpenLogError) as error:
            sidecar.emit([ReloadRejected(problems=(f"{error}; then {_AGAIN}",))])
            return Reloaded(Result.UNBOUND, problems=[Unbound(error.path, str(error))])
        self._refused = None
        sidecar.emit([ReloadApplied(changes=len(changes), sha256=loaded.sha256)])
        return Reloaded(
            Result.APPLIED, loaded.sha256, changes=[_Change(change.op.value, change.path) for change in changes]
        )

    async def _watch(self, sidecar: "Sidecar") -> None:
        missing = 0
        while True:
            await asyncio.sleep(self._poll)
            await sidecar.trusts.reread()
            seen = await asyncio.to_thread(fingerprint, sidecar.loaded.path)
            missing = missing + 1 if seen is None else 0
            settled = {self._refused, sidecar.loaded.sha256 if self.last_ok else None}  # back to what is in force: tell
            if missing == _GONE or (seen is not None and seen not in settled):
                self._refused = seen  # told once: the same broken file is not tried again every few seconds
                try:
                    await self.reload(sidecar)
                except Exception as error:  # noqa: BLE001 - told as event `crash`; the next change is looked at again
                    sidecar.journal.crash(error)
