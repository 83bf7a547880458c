"""The event log as people and machines read it."""

import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.cluster.events import (
    EndpointQuarantined,
    EndpointRestored,
    Event,
    Probed,
    PushRefused,
    ReloadRejected,
    StateDump,
)
from sidecar.telemetry.logs import EventLog
from sidecar.telemetry.sink import Sink

REFUSED = PushRefused(service="orders", why="empty", kept=2, offered=0)


class Written:
    """An event log into a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sink = Sink(path)
        self.log = EventLog(level="info", format="text", sink=self.sink)
        self.log.install()

    def lines(self) -> list[str]:
        """All lines so far, without their time."""
        assert self.sink.flush()
        return [line.partition(" ")[2] for line in self.path.read_text().splitlines()]

    def documents(self) -> list[dict[str, object]]:
        assert self.sink.flush()
        return [json.loads(line) for line in self.path.read_text().splitlines()]


@pytest.fixture
def written(tmp_path: Path) -> Iterator[Written]:
    root, ours = logging.getLogger(), logging.getLogger("sidecar")
    handlers, level, our_level = root.handlers[:], root.level, ours.level
    written = Written(tmp_path / "events")
    yield written
    written.log.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    ours.setLevel(our_level)


def test_a_text_line_is_that_of_the_contract(written: Written) -> None:
    """Time, level, kind, then what it is about, as key=value."""
    written.log.write(REFUSED)
    assert written.lines() == ["INFO push_refused service=orders why=empty kept=2 offered=0"]
    assert len(written.path.read_text().split()[0]) == len("2026-01-31T10:00:00.123Z")


def test_a_json_line_says_the_same(written: Written) -> None:
    """`at`, `level`, `event`, then the same fields."""
    written.log.use("json")
    written.log.write(REFUSED)
    [document] = written.documents()
    assert str(document.pop("at")).endswith("Z")
    assert document == {
        "level": "info",
        "event": "push_refused",
        "service": "orders",
        "why": "empty",
        "kept": 2,
        "offered": 0,
    }


def test_durations_are_whole_milliseconds_in_text_and_seconds_in_json(written: Written) -> None:
    """Two readers, two habits."""
    event = EndpointQuarantined(service="s", endpoint="10.0.0.1:80", reason="refused", next_probe_s=0.1234)
    written.log.write(event)
    written.log.use("json")
    written.log.write(event)
    text, document = written.path.read_text().splitlines() if written.sink.flush() else []
    assert text.endswith("service=s endpoint=10.0.0.1:80 reason=refused next_probe_ms=123")
    assert json.loads(document)["next_probe_s"] == 0.1234


@pytest.mark.parametrize(
    ("event", "ending"),
    [
        (ReloadRejected(problems=("a:1: b", "c")), 'problems="a:1: b, c"'),
        (StateDump(state={"clusters": [{"ready": True}]}), 'state={"clusters": [{"ready": true}]}'),
        (EndpointRestored(endpoint='x="y"\n', by="served"), r'endpoint="x=\"y\"\n" by=served'),
    ],
)
def test_a_line_stays_one_line_that_can_be_taken_apart(written: Written, event: Event, ending: str) -> None:
    """Values with spaces, quotes, signs or line ends are quoted; a document is left as it is."""
    written.log.write(event)
    [line] = written.lines()
    assert line.endswith(ending)


def test_the_level_decides_and_can_be_changed(written: Written) -> None:
    """Debug events are silent until they are asked for."""
    probe = Probed(service="s", result="ok")
    written.log.write(probe)
    assert written.lines() == []
    written.log.level = "debug"
    assert written.log.level == "debug"
    written.log.write(probe)
    written.log.level = "error"
    written.log.write(REFUSED)
    assert written.lines() == ["DEBUG probe service=s result=ok"]
    assert repr(written.log) == "<EventLog error>"


def test_a_crash_carries_its_traceback_on_one_line(written: Written) -> None:
    """What a task raised is one event with the error and where it came from."""
    error = ValueError("no good")
    logging.getLogger("sidecar").error("crash", extra={"detail": {"task": "prober"}}, exc_info=error)
    [line] = written.lines()
    assert line.startswith('ERROR crash task=prober error="ValueError(\'no good\')" traceback="ValueError: no good')


def test_libraries_are_heard_from_warning_on(written: Written) -> None:
    """Their lines have a kind of their own and name the logger."""
    library = logging.getLogger("some.library")
    library.info("chatter")
    library.warning("trouble with %s", "a b")
    assert written.lines() == ['WARNING log logger=some.library message="trouble with a b"']


def test_a_plain_warning_of_ours_is_no_event(written: Written) -> None:
    """Whoever reads the kind of a line meets no sentence there."""
    logging.getLogger("sidecar").warning("%s", "env:SIDECAR_X: warning: unknown variable")
    assert written.lines() == ['WARNING log logger=sidecar message="env:SIDECAR_X: warning: unknown variable"']


def test_warnings_of_the_interpreter_are_lines_too(written: Written) -> None:
    """Nothing else may write into the stream."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        written.log.install()
        warnings.warn("old habit", DeprecationWarning, stacklevel=1)
    [line] = written.lines()
    assert line.startswith("WARNING log logger=py.warnings message=")
