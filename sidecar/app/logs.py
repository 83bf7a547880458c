"""Both logs of the process, and how a reload changes them without losing a line."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from sidecar import clock
from sidecar.cluster.events import Event
from sidecar.cluster.stats import ProcessStats
from sidecar.config import Config, Loaded
from sidecar.record import Record
from sidecar.telemetry.access_log import AccessLog, Format, open_sink
from sidecar.telemetry.logs import EventLog
from sidecar.telemetry.sink import Sink

_STDERR = 2


class CannotOpenLogError(Exception):
    """The access log's file cannot be opened; nothing was changed. `path` is its key in the YAML."""

    path = "access_log.path"


class Logs:
    """The event log on stderr, and the access log wherever the configuration wants it."""

    def __init__(
        self,
        loaded: Loaded,
        loop: asyncio.AbstractEventLoop,
        stats: ProcessStats,
        emit: Callable[[Sequence[Event]], None],
    ) -> None:
        self._loop = loop
        self._stats = stats
        self._emit = emit
        logging = loaded.config.logging
        self.events = EventLog(level=logging.level.value, format=logging.format, sink=Sink(_STDERR))
        self.events.install()
        self._access = self._open(loaded)

    def write_record(self, record: Record) -> None:
        """One line of the access log."""
        self._access.write(record)

    def wants_record(self, *, notable: bool) -> bool:
        """Whether such a request would be written."""
        return self._access.wants(notable)

    def prepare(self, loaded: Loaded, old: Config) -> AccessLog | None:
        """The access log of a new configuration, opened but not in use; None when the old one stays."""
        return None if loaded.config.access_log == old.access_log else self._open(loaded)

    def put_in_force(self, config: Config, access: AccessLog | None) -> None:
        """Levels and formats as configured; the old access log is flushed, an unchanged one is reopened."""
        self.events.level = config.logging.level.value
        self.events.use(config.logging.format)
        if access is None:
            self._access.reopen()
        else:
            old, self._access = self._access, access
            old.close(0)  # what it still holds is written in the background

    def close(self) -> None:
        """Writes what is left; the last thing a process does."""
        self._access.close()
        self.events.close()

    def _open(self, loaded: Loaded) -> AccessLog:
        wanted = loaded.config.access_log
        try:
            sink = open_sink(str(wanted.path), Path(loaded.path).absolute().parent)
        except OSError as error:
            raise CannotOpenLogError(
                f"cannot open access_log.path {wanted.path}: {error.strerror}; "
                "name a writable file, stdout, stderr or none"
            ) from error
        return AccessLog(
            format=Format(wanted.format),
            sink=sink,
            loop=self._loop,
            rng=clock.system_rng(),
            stats=self._stats,
            emit=self._emit,
            sample=wanted.sample,
            only_errors=wanted.only_errors,
            query=wanted.query,
        )
