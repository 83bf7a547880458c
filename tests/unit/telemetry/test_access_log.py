"""Lines as operators parse them, chosen and gathered as configured."""

import asyncio
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sidecar.cluster.events import AccessLogDropped, Event
from sidecar.cluster.stats import ProcessStats
from sidecar.record import AttemptRecord, Record
from sidecar.telemetry.access_log import AccessLog, Format, json_line, open_sink, text_line
from sidecar.telemetry.sink import Sink
from tests.support.until import PATIENCE

RESCUED = Record(
    started=1769853600.123,
    service="orders",
    method="GET",
    path="/api/1",
    protocol="HTTP/1.1",
    code=200,
    flags="-",
    details="via_upstream",
    bytes_received=0,
    bytes_sent=512,
    duration=3,
    upstream_time=2,
    endpoint="10.0.0.2:8080",
    attempts=2,
    tries=(AttemptRecord("10.0.0.1:8080", "refused", 1), AttemptRecord("10.0.0.2:8080", "ok", 2)),
    rescued_by="retry",
    authority="orders",
    user_agent="legacy/1.0",
    request_id="8c1e",
    forwarded_for=None,
    trace_id=None,
)
TCP = replace(
    RESCUED,
    started=1769853602.5,
    service="ledger-db",
    method=None,
    path=None,
    protocol=None,
    code=0,
    bytes_received=1024,
    bytes_sent=4096,
    duration=61000,
    upstream_time=None,
    endpoint="10.0.0.5:3306",
    attempts=1,
    tries=(),
    rescued_by=None,
    authority=None,
    user_agent=None,
    request_id=None,
)


class Always:
    """A generator that always says the same."""

    def __init__(self, number: float) -> None:
        self.number = number

    def random(self) -> float:
        return self.number


def _log(
    sink: Sink | None,
    *,
    emit: list[Event] | None = None,
    stats: ProcessStats | None = None,
    draw: float = 0.5,
    **rest: Any,
) -> AccessLog:
    heard: list[Event] = [] if emit is None else emit

    def hear(events: Sequence[Event]) -> None:
        heard.extend(events)

    return AccessLog(
        sink=sink,
        loop=asyncio.get_running_loop(),
        rng=Always(draw),
        stats=stats or ProcessStats(),
        emit=hear,
        **rest,
    )


def test_text_lines_are_those_of_the_contract() -> None:
    """The order is Envoy's, then ours; a missing value is a dash."""
    assert text_line(RESCUED, "/api/1") == (
        '[2026-01-31T10:00:00.123Z] "GET /api/1 HTTP/1.1" 200 - 0 512 3 2 "-" "legacy/1.0" "8c1e" "orders" '
        '"10.0.0.2:8080" service=orders attempts=2 rescued=retry\n'
    )
    assert text_line(TCP, None) == (
        '[2026-01-31T10:00:02.500Z] "- - -" 0 - 1024 4096 61000 - "-" "-" "-" "-" "10.0.0.5:3306" '
        "service=ledger-db attempts=1 rescued=-\n"
    )


def test_json_lines_carry_the_fields_of_the_contract() -> None:
    """Every field, its type, and null where nothing is known."""
    assert json.loads(json_line(RESCUED, "/api/1")) == {
        "start_time": "2026-01-31T10:00:00.123Z",
        "method": "GET",
        "path": "/api/1",
        "protocol": "HTTP/1.1",
        "response_code": 200,
        "response_flags": "-",
        "response_code_details": "via_upstream",
        "bytes_received": 0,
        "bytes_sent": 512,
        "duration": 3,
        "upstream_service_time": 2,
        "upstream_host": "10.0.0.2:8080",
        "upstream_cluster": "orders",
        "upstream_request_attempt_count": 2,
        "attempts": [
            {"endpoint": "10.0.0.1:8080", "outcome": "refused", "ms": 1},
            {"endpoint": "10.0.0.2:8080", "outcome": "ok", "ms": 2},
        ],
        "rescued_by": "retry",
        "authority": "orders",
        "user_agent": "legacy/1.0",
        "x_request_id": "8c1e",
        "trace_id": None,
    }
    tcp = json.loads(json_line(TCP, None))
    assert [tcp[name] for name in ("method", "path", "protocol", "attempts", "upstream_service_time")] == [None] * 5


NASTY = 'a"b\\c\nd\x00\x7f'


def test_text_cannot_be_forged() -> None:
    """Control bytes, quotes and backslashes are hexadecimal: one request is one line with its own fields."""
    line = text_line(replace(RESCUED, user_agent=NASTY, authority=NASTY), f"/{NASTY}")
    escaped = r"a\x22b\x5cc\x0ad\x00\x7f"
    assert line.count("\n") == 1
    assert f'"GET /{escaped} HTTP/1.1"' in line
    assert line.count(escaped) == 3


def test_json_gives_back_what_was_sent() -> None:
    """Escapes are JSON's own, and bytes of the wire are read as UTF-8 where they are."""
    chinese = "订单".encode().decode("latin-1")
    line = json_line(replace(RESCUED, user_agent=NASTY, authority=chinese, trace_id="caf\xe9"), "/api/1")
    assert line.count("\n") == 1
    read = json.loads(line)
    assert (read["user_agent"], read["authority"], read["trace_id"]) == (NASTY, "订单", r"caf\xe9")


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({}, [True, True]),
        ({"sample": 0.4}, [False, True]),
        ({"sample": 0.6}, [True, True]),
        ({"sample": 0.0}, [False, True]),
        ({"only_errors": True}, [False, True]),
    ],
)
async def test_only_clean_lines_are_left_out(options: dict[str, Any], wanted: list[bool], tmp_path: Path) -> None:
    """Sampling and `only_errors` never lose a line with a flag, a 5xx or a rescue."""
    sink = Sink(tmp_path / "log")
    log = _log(sink, **options)
    assert [log.wants(False), log.wants(True)] == wanted
    log.close(PATIENCE)


async def test_without_a_stream_nothing_is_wanted() -> None:
    """`path: none` costs not even the record."""
    log = _log(None)
    assert not log.wants(True)
    log.close(PATIENCE)


@pytest.mark.virtual_time
async def test_a_line_is_out_after_half_a_second_at_the_latest(tmp_path: Path) -> None:
    """Lines gather for a quarter of a second; the rest is the writing thread's."""
    log = _log(Sink(tmp_path / "log"))
    log.write(RESCUED)
    await asyncio.sleep(0.3)
    sink = log._sink
    assert sink is not None
    assert sink.flush(PATIENCE)
    assert (tmp_path / "log").read_text() == text_line(RESCUED, "/api/1")
    log.close(PATIENCE)


async def test_many_lines_go_out_before_the_timer(tmp_path: Path) -> None:
    """Memory for gathered lines is bounded by a chunk."""
    log = _log(Sink(tmp_path / "log"))
    for _ in range(500):
        log.write(RESCUED)
    assert len(log._lines) < 250
    log.close(PATIENCE)
    assert (tmp_path / "log").read_text().count("\n") == 500


async def test_the_query_is_logged_on_request_only(tmp_path: Path) -> None:
    """Secrets live in queries."""
    for query in (False, True):
        log = _log(Sink(tmp_path / "log"), query=query)
        log.write(replace(RESCUED, path="/a?token=1"))
        log.close(PATIENCE)
    without, with_query = (tmp_path / "log").read_text().splitlines()
    assert '"GET /a HTTP/1.1"' in without
    assert '"GET /a?token=1 HTTP/1.1"' in with_query


async def test_bytes_of_the_wire_stay_as_they_were(tmp_path: Path) -> None:
    """Text lines are not recoded: what was UTF-8 is UTF-8, what was not stays what it was."""
    log = _log(Sink(tmp_path / "log"))
    log.write(replace(RESCUED, path="/订".encode().decode("latin-1"), user_agent="caf\xe9"))
    log.close(PATIENCE)
    line = (tmp_path / "log").read_bytes()
    assert "/订".encode() in line
    assert b'"caf\xe9"' in line


async def test_json_is_written_when_asked_for(tmp_path: Path) -> None:
    """A file of JSON lines in UTF-8."""
    log = _log(Sink(tmp_path / "log"), format=Format.JSON)
    log.write(replace(RESCUED, path="/订".encode().decode("latin-1")))
    log.close(PATIENCE)
    assert json.loads((tmp_path / "log").read_text("utf-8"))["path"] == "/订"


@pytest.mark.virtual_time
async def test_lines_lost_to_a_slow_reader_are_counted_and_told_seldom() -> None:
    """Each lost line is in the counter; events come at once and then every ten seconds."""
    reader, writer = os.pipe()
    stats, events = ProcessStats(), list[Event]()
    log = _log(Sink(writer, capacity=10), emit=events, stats=stats)
    for _ in range(3):
        log.write(RESCUED)
        log.flush()
    assert stats.access_log_dropped == 3
    await asyncio.sleep(0.1)
    log.write(RESCUED)
    log.flush()
    await asyncio.sleep(1)
    assert events == [AccessLogDropped(lines=3)]
    await asyncio.sleep(10)
    assert events == [AccessLogDropped(lines=3), AccessLogDropped(lines=1)]
    log.close(PATIENCE)
    os.close(reader)
    os.close(writer)


@pytest.mark.virtual_time
async def test_lines_for_a_broken_stream_are_counted_too() -> None:
    """What the thread could not write is counted with the next lines."""
    reader, writer = os.pipe()
    os.close(reader)
    stats = ProcessStats()
    sink = Sink(writer)
    log = _log(sink, stats=stats)
    log.write(RESCUED)
    log.flush()
    assert sink.flush(PATIENCE)
    log.write(RESCUED)
    log.flush()
    assert stats.access_log_dropped == 1
    await asyncio.sleep(1)
    log.close(PATIENCE)
    os.close(writer)


async def test_a_rotated_file_gets_the_lines_that_were_gathered(tmp_path: Path) -> None:
    """Reopening loses nothing and changes the file."""
    log = _log(Sink(tmp_path / "log"))
    log.write(RESCUED)
    log.reopen()
    log.write(TCP)
    (tmp_path / "log").rename(tmp_path / "log.1")
    log.reopen()
    log.write(RESCUED)
    log.close(PATIENCE)
    written = [(tmp_path / name).read_text() for name in ("log.1", "log")]
    assert "".join(written).count("\n") == 3


async def test_a_log_that_is_replaced_writes_on_in_the_background(tmp_path: Path) -> None:
    """close(0) does not wait, and yet no line is lost."""
    sink = Sink(tmp_path / "log")
    log = _log(sink)
    log.write(RESCUED)
    log.close(0)
    sink._thread.join(PATIENCE)
    assert (tmp_path / "log").read_text() == text_line(RESCUED, "/api/1")


def test_streams_have_names(tmp_path: Path) -> None:
    """stdout, stderr and none are words, all else is a file beside the configuration."""
    assert open_sink("none", tmp_path) is None
    streams = [open_sink(name, tmp_path) for name in ("stdout", "stderr", "access.log")]
    assert [repr(sink).split(":")[0] for sink in streams] == ["<Sink 1", "<Sink 2", f"<Sink {tmp_path / 'access.log'}"]
    for sink in streams:
        assert sink is not None
        assert sink.close(PATIENCE)
