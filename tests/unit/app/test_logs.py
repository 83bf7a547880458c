"""Claims about both logs over a reload."""

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.app.logs import CannotOpenLogError, Logs
from sidecar.cluster.stats import ProcessStats
from sidecar.config import Loaded, load
from sidecar.record import Record
from tests.support.until import PATIENCE


@pytest.fixture(autouse=True)
def _root_logger_as_it_was() -> Iterator[None]:
    """The event log takes the root logger's place; other tests want theirs back."""
    root, ours = logging.getLogger(), logging.getLogger("sidecar")
    handlers, level, our_level = root.handlers[:], root.level, ours.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    ours.setLevel(our_level)
    logging.captureWarnings(capture=False)


def _loaded(folder: Path, access_log: str, logging_section: str = "{}") -> Loaded:
    path = folder / "sidecar.yaml"
    path.write_text(f"version: 1\nservices: [{{name: orders}}]\naccess_log: {access_log}\nlogging: {logging_section}\n")
    return load(path, environ={})


def _logs(loaded: Loaded) -> Logs:
    return Logs(loaded, asyncio.get_running_loop(), ProcessStats(), lambda _: None)


def _close(logs: Logs) -> None:
    """As the process does it at its end, but with more patience for the thread that writes."""
    logs._access.close(PATIENCE)
    logs.close()


def _record(path: str) -> Record:
    return Record(
        started=0.0, service="orders", method="GET", path=path, protocol="HTTP/1.1", code=200, flags="-",
        details="via_upstream", bytes_received=0, bytes_sent=2, duration=1, upstream_time=1, endpoint="10.0.0.1:80",
        attempts=1, tries=(), rescued_by=None, authority="orders", user_agent=None, request_id=None,
        forwarded_for=None, trace_id=None,
    )  # fmt: skip


async def test_a_log_that_cannot_be_opened_is_refused_before_anything_changes(tmp_path: Path) -> None:
    """A reload with an unwritable access log raises, names the path and the remedy, and the old log goes on."""
    old = _loaded(tmp_path, "{path: first.log}")
    logs = _logs(old)
    with pytest.raises(CannotOpenLogError, match=r"access_log.path .*missing.*: No such file.*; name a writable file"):
        logs.prepare(_loaded(tmp_path, "{path: missing/second.log}"), old.config)
    logs.write_record(_record("/still"))
    _close(logs)
    assert "/still" in (tmp_path / "first.log").read_text()


async def test_a_new_access_log_takes_over_without_losing_a_line(tmp_path: Path) -> None:
    """Lines written before the change are in the old file, later ones in the new file."""
    old = _loaded(tmp_path, "{path: first.log}")
    logs = _logs(old)
    logs.write_record(_record("/before"))
    new = _loaded(tmp_path, "{path: second.log}")
    logs.put_in_force(new.config, logs.prepare(new, old.config))
    logs.write_record(_record("/after"))
    _close(logs)
    async with asyncio.timeout(PATIENCE):
        while "/before" not in (tmp_path / "first.log").read_text():  # noqa: ASYNC110 - another thread writes it
            await asyncio.sleep(0.01)
    assert "/after" in (tmp_path / "second.log").read_text()


async def test_an_unchanged_log_is_reopened(tmp_path: Path) -> None:
    """After a rotation by renaming, the next reload writes to a new file of the configured name."""
    loaded = _loaded(tmp_path, "{path: access.log}")
    logs = _logs(loaded)
    logs.write_record(_record("/one"))
    (tmp_path / "access.log").rename(tmp_path / "access.log.1")
    assert logs.prepare(loaded, loaded.config) is None
    logs.put_in_force(loaded.config, None)
    logs.write_record(_record("/two"))
    _close(logs)
    assert "/two" in (tmp_path / "access.log").read_text()


async def test_a_reload_sets_the_level_back(tmp_path: Path) -> None:
    """A level that the operator changed by hand lasts until the next reload."""
    loaded = _loaded(tmp_path, "{path: none}", "{level: warning}")
    logs = _logs(loaded)
    logs.events.level = "debug"
    logs.put_in_force(loaded.config, None)
    assert logs.events.level == "warning"
    _close(logs)


async def test_nothing_is_written_where_nothing_is_wanted(tmp_path: Path) -> None:
    """With `path: none` no record is asked for, not even a notable one."""
    logs = _logs(_loaded(tmp_path, "{path: none}"))
    assert not logs.wants_record(notable=True)
    _close(logs)
