"""One line a finished request or tcp connection, as text in Envoy's field order or as JSON.

Lines gather in memory and go to the sink together: at the latest `FLUSH_AFTER` after the first of them, earlier when
a chunk is full. The texts of a `Record` are the bytes of the wire decoded as latin-1; text lines give back those very
bytes, JSON lines read them as UTF-8.
"""

import asyncio
import enum
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from sidecar.clock import Rng
from sidecar.cluster.events import AccessLogDropped, Event
from sidecar.cluster.stats import ProcessStats
from sidecar.record import AttemptRecord, Record
from sidecar.telemetry.sink import Sink

FLUSH_AFTER = 0.25
"""Seconds; the contract promises 500 ms, half of it is left to the thread and a busy loop."""

_CHUNK = 32 * 1024
_REPORT_EVERY = 10.0
_HEX = {code: f"\\x{code:02x}" for code in (*range(0x20), 0x7F, ord('"'), ord("\\"))}


class Format(enum.Enum):
    """How a line is written."""

    TEXT = "text"
    JSON = "json"


class AccessLog:
    """Chooses, formats and gathers lines. `write` and `wants` are called on the loop's thread only."""

    __slots__ = (
        "_emit",
        "_flush_timer",
        "_format",
        "_lines",
        "_loop",
        "_lost_in_sink",
        "_only_errors",
        "_query",
        "_report_timer",
        "_rng",
        "_sample",
        "_sink",
        "_size",
        "_stats",
        "_unreported",
    )

    def __init__(
        self,
        *,
        format: Format = Format.TEXT,  # noqa: A002 - the key of the YAML
        sink: Sink | None,
        loop: asyncio.AbstractEventLoop,
        rng: Rng,
        stats: ProcessStats,
        emit: Callable[[Sequence[Event]], None],
        sample: float = 1.0,
        only_errors: bool = False,
        query: bool = False,
    ) -> None:
        self._format: Callable[[Record, str | None], str] = text_line if format is Format.TEXT else json_line
        self._sink = sink
        self._loop = loop
        self._rng = rng
        self._stats = stats
        self._emit = emit
        self._sample = sample
        self._only_errors = only_errors
        self._query = query
        self._lines: list[str] = []
        self._size = 0
        self._flush_timer: asyncio.TimerHandle | None = None
        self._report_timer: asyncio.TimerHandle | None = None
        self._unreported = 0
        self._lost_in_sink = 0

    def wants(self, notable: bool) -> bool:  # noqa: FBT001 - called once a request, positional is what the data path pays least for
        """Whether a line is to be written; `notable`: it has a flag, a 5xx or a rescue."""
        if self._sink is None:
            return False
        if notable:
            return True
        return not self._only_errors and (self._sample >= 1.0 or self._rng.random() < self._sample)

    def write(self, record: Record) -> None:
        """Adds the line of `record`; never waits."""
        path = record.path
        line = self._format(record, path if self._query or path is None else path.partition("?")[0])
        self._lines.append(line)
        self._size += len(line)
        if self._size >= _CHUNK:
            self.flush()
        elif self._flush_timer is None:
            self._flush_timer = self._loop.call_later(FLUSH_AFTER, self.flush)

    def flush(self) -> None:
        """Hands all gathered lines to the sink."""
        if self._flush_timer is not None:
            self._flush_timer.cancel()
            self._flush_timer = None
        if not self._lines or self._sink is None:
            return
        lines, self._lines, self._size = self._lines, [], 0
        chunk = "".join(lines).encode("latin-1" if self._format is text_line else "utf-8", "backslashreplace")
        lost, self._lost_in_sink = self._sink.failed - self._lost_in_sink, self._sink.failed
        if not self._sink.write(chunk):
            lost += len(lines)
        if lost:
            self._count_lost(lost)

    def reopen(self) -> None:
        """A log file that was rotated away is opened anew."""
        if self._sink is not None:
            self.flush()
            self._sink.reopen()

    def close(self, timeout: float = 1.0) -> None:
        """Flushes; blocks at most `timeout` seconds. With 0 the rest is written in the background, as at a reload."""
        self.flush()
        if self._sink is not None:
            self._sink.close(timeout)
        if self._report_timer is not None:
            self._report_timer.cancel()
            self._tell_lost()

    def _count_lost(self, lines: int) -> None:
        self._stats.access_log_dropped += lines
        self._unreported += lines
        if self._report_timer is None:
            self._report_timer = self._loop.call_later(0, self._report)

    def _report(self) -> None:
        """One event now, and one for all that is lost in the next seconds: the event log must not drown as well."""
        self._report_timer = None
        if self._tell_lost():
            self._report_timer = self._loop.call_later(_REPORT_EVERY, self._report)

    def _tell_lost(self) -> bool:
        lines, self._unreported = self._unreported, 0
        if lines:
            self._emit([AccessLogDropped(lines=lines)])
        return lines > 0


def open_sink(path: str, folder: Path) -> Sink | None:
    """The stream that `access_log.path` names: stdout, stderr, none, or a file relative to `folder`; may raise OSError."""
    match path:
        case "none":
            return None
        case "stdout":
            return Sink(1)
        case "stderr":
            return Sink(2)
        case _:
            return Sink(folder / path)


def text_line(record: Record, path: str | None) -> str:
    """Envoy's default order, then ours; missing values are `-`. `path` is what may be shown of the record's."""
    method, path, protocol = record.method or "-", path or "-", record.protocol or "-"
    forwarded, agent = record.forwarded_for or "-", record.user_agent or "-"
    request_id, authority = record.request_id or "-", record.authority or "-"
    if not _plain(f"{method}{path}{forwarded}{agent}{request_id}{authority}"):
        method, path, forwarded = method.translate(_HEX), path.translate(_HEX), forwarded.translate(_HEX)
        agent, request_id, authority = agent.translate(_HEX), request_id.translate(_HEX), authority.translate(_HEX)
    upstream_time = "-" if record.upstream_time is None else record.upstream_time
    endpoint, rescued_by = record.endpoint or "-", record.rescued_by or "-"
    return (
        f'[{_stamp(record.started)}] "{method} {path} {protocol}" {record.code} {record.flags} '
        f"{record.bytes_received} {record.bytes_sent} {record.duration} {upstream_time} "
        f'"{forwarded}" "{agent}" "{request_id}" "{authority}" "{endpoint}" '
        f"service={record.service} attempts={record.attempts} rescued={rescued_by}\n"
    )


def json_line(record: Record, path: str | None) -> str:
    """The fields of the contract, in its order; missing values are null."""
    plain = _plain(f"{path}{record.authority}{record.user_agent}{record.request_id}{record.method}{record.trace_id}")
    quoted = _quoted_plain if plain else _quoted
    upstream_time = "null" if record.upstream_time is None else record.upstream_time
    return (
        f'{{"start_time":"{_stamp(record.started)}","method":{quoted(record.method)},'
        f'"path":{quoted(path)},"protocol":{_quoted_plain(record.protocol)},'
        f'"response_code":{record.code},"response_flags":"{record.flags}","response_code_details":"{record.details}",'
        f'"bytes_received":{record.bytes_received},"bytes_sent":{record.bytes_sent},'
        f'"duration":{record.duration},"upstream_service_time":{upstream_time},'
        f'"upstream_host":{_quoted_plain(record.endpoint)},"upstream_cluster":"{record.service}",'
        f'"upstream_request_attempt_count":{record.attempts},"attempts":{_attempts(record.tries)},'
        f'"rescued_by":{_quoted_plain(record.rescued_by)},"authority":{quoted(record.authority)},'
        f'"user_agent":{quoted(record.user_agent)},"x_request_id":{quoted(record.request_id)},'
        f'"trace_id":{quoted(record.trace_id)}}}\n'
    )


def _plain(text: str) -> bool:
    """Nothing in it needs care in either format; cheaper than a look at every field."""
    return text.isascii() and text.isprintable() and '"' not in text and "\\" not in text


def _quoted_plain(text: str | None) -> str:
    return "null" if text is None else f'"{text}"'


def _quoted(text: str | None) -> str:
    if text is None:
        return "null"
    return json.dumps(
        text.encode("latin-1", "backslashreplace").decode("utf-8", "backslashreplace"), ensure_ascii=False
    )


def _attempts(tries: tuple[AttemptRecord, ...]) -> str:
    if not tries:
        return "null"
    return "[" + ",".join([f'{{"endpoint":"{t.endpoint}","outcome":"{t.outcome}","ms":{t.ms}}}' for t in tries]) + "]"


_MILLIS = tuple(f".{millis:03d}Z" for millis in range(1000))
_second: tuple[int, str] = (-1, "")


def _stamp(wall: float) -> str:
    """RFC 3339 UTC with milliseconds; the text of a second is made once, that of a millisecond never."""
    global _second  # noqa: PLW0603 - a cache of one entry: it saves 1 µs a line
    millis = int(wall * 1000 + 0.5)
    second = millis // 1000
    if _second[0] != second:
        _second = (second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)))
    return _second[1] + _MILLIS[millis % 1000]
