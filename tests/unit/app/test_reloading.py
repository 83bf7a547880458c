"""Claims about when a configuration is taken, and what is said about it."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sidecar.admin.views import Result
from sidecar.app.listeners import CannotBindError
from sidecar.app.reloading import Reloader
from sidecar.cluster.events import Event
from sidecar.cluster.stats import ProcessStats
from sidecar.config import Loaded, load

GOOD = "version: 1\nservices: [{name: orders}]\n"


class Play:
    """One file, a reloader, and a sidecar that takes what it gets."""

    def __init__(self, folder: Path, *, poll: float = 0.0) -> None:
        self.path = folder / "sidecar.yaml"
        self.write(GOOD)
        self.reloader = Reloader(self.load, poll=poll)
        self.events: list[Event] = []
        self.taken: list[Loaded] = []
        self.refusal: Exception | None = None
        self.refreshed = 0
        self.stats = ProcessStats()
        self.looks_at_certificates = 0
        self.sidecar: Any = SimpleNamespace(
            loaded=self.load(),
            stats=self.stats,
            emit=self.events.extend,
            take=self._take,
            refresh=self._refresh,
            trusts=SimpleNamespace(reread=self._reread),
        )

    def write(self, text: str) -> None:
        self.path.write_text(text)

    def load(self) -> Loaded:
        return load(self.path, environ={})

    async def _refresh(self) -> None:
        self.refreshed += 1

    async def _reread(self) -> None:
        self.looks_at_certificates += 1

    async def _take(self, loaded: Loaded) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.taken.append(loaded)
        self.sidecar.loaded = loaded


async def test_a_changed_file_is_taken_and_its_changes_are_named(tmp_path: Path) -> None:
    """The outcome names each changed key, and so does the event."""
    play = Play(tmp_path)
    play.write("version: 1\ndrain: {quiet: 2s}\nservices: [{name: orders}, {name: stock}]\n")
    outcome = await play.reloader.reload(play.sidecar)
    assert outcome.result is Result.APPLIED
    assert [(one.op, one.path) for one in outcome.changes] == [("change", "drain.quiet"), ("add", "services[stock]")]
    assert [event.kind for event in play.events] == ["reload_applied"]
    assert play.stats.reloads == {"applied": 1}


async def test_an_unchanged_file_changes_nothing(tmp_path: Path) -> None:
    """Asking for a reload of the same content is answered `unchanged`; nothing is taken, but the logs are reopened."""
    play = Play(tmp_path)
    assert (await play.reloader.reload(play.sidecar)).result is Result.UNCHANGED
    assert (play.taken, play.refreshed) == ([], 1)
    assert (play.stats.reloads, play.events) == ({"unchanged": 1}, [])


async def test_an_invalid_file_is_refused_with_its_problems(tmp_path: Path) -> None:
    """The old configuration stays; problems with positions are in the outcome and in the event."""
    play = Play(tmp_path)
    play.write(GOOD + "retyr: {}\n")
    outcome = await play.reloader.reload(play.sidecar)
    assert outcome.result is Result.INVALID
    (problem,) = outcome.problems
    assert problem.as_json()["line"] == 3
    (event,) = play.events
    assert event.kind == "reload_rejected"
    assert "sidecar.yaml:3:1: retyr" in event.detail["problems"][0]
    assert not play.reloader.last_ok


async def test_an_address_that_is_taken_is_told_and_can_be_tried_again(tmp_path: Path) -> None:
    """A refusal by the machine is not held against the file: the same content is applied once the port is free."""
    play = Play(tmp_path)
    play.write("version: 1\nlisten: 127.0.0.1:7001\nservices: [{name: orders}]\n")
    play.refusal = CannotBindError("shared", "127.0.0.1:7001", OSError(98, "Address already in use"))
    outcome = await play.reloader.reload(play.sidecar)
    assert outcome.result is Result.UNBOUND
    problem = outcome.problems[0].as_json()
    assert problem["path"] == "listen"
    assert "cannot bind 127.0.0.1:7001 for shared" in problem["message"]
    assert "reload again" in play.events[-1].detail["problems"][0]
    play.refusal = None
    assert (await play.reloader.reload(play.sidecar)).result is Result.APPLIED
    assert play.reloader.last_ok


async def test_reloads_come_one_at_a_time(tmp_path: Path) -> None:
    """Two requests at once are served in turn; the second finds nothing left to change."""
    play = Play(tmp_path)
    play.write("version: 1\nvia: 1\nservices: [{name: orders}]\n".replace("via: 1", "drain: {quiet: 3s}"))
    outcomes = await asyncio.gather(play.reloader.reload(play.sidecar), play.reloader.reload(play.sidecar))
    assert [one.result for one in outcomes] == [Result.APPLIED, Result.UNCHANGED]


@pytest.mark.virtual_time
async def test_the_file_is_watched_by_content(tmp_path: Path) -> None:
    """A change is taken at the next look; a broken file is told once, not at every look."""
    play = Play(tmp_path, poll=3.0)
    play.reloader.watch(play.sidecar)
    play.write("version: 1\ndrain: {quiet: 2s}\nservices: [{name: orders}]\n")
    async with asyncio.timeout(1000):
        while not play.taken:  # noqa: ASYNC110 - the reader is another thread
            await asyncio.sleep(1.0)
    play.write("version: [\n")
    await asyncio.sleep(30.0)
    assert [event.kind for event in play.events] == ["reload_applied", "reload_rejected"]
    assert play.looks_at_certificates >= 10
    await play.reloader.close()


@pytest.mark.virtual_time
async def test_a_file_that_is_gone_is_told_once_and_its_return_too(tmp_path: Path) -> None:
    """Not at the first look, which may meet it while it is being swapped."""
    play = Play(tmp_path, poll=3.0)
    play.reloader.watch(play.sidecar)
    play.path.unlink()
    async with asyncio.timeout(1000):
        while play.reloader.last_ok:  # noqa: ASYNC110 - the reader is another thread
            await asyncio.sleep(1.0)
        assert play.looks_at_certificates > 1
        await asyncio.sleep(30.0)
        play.write(GOOD)
        while not play.reloader.last_ok:  # noqa: ASYNC110 - as above
            await asyncio.sleep(1.0)
    assert [event.kind for event in play.events] == ["reload_rejected", "reload_applied"]
    assert "No such file" in play.events[0].detail["problems"][0]
    await play.reloader.close()


@pytest.mark.virtual_time
async def test_a_refused_file_that_is_put_back_is_no_longer_held_against_us(tmp_path: Path) -> None:
    """Once the file says again what is in force, the last reload counts as good, and an event says so."""
    play = Play(tmp_path, poll=3.0)
    play.reloader.watch(play.sidecar)
    play.write("version: [\n")
    async with asyncio.timeout(1000):
        while play.reloader.last_ok:  # noqa: ASYNC110 - the reader is another thread
            await asyncio.sleep(1.0)
        play.write(GOOD)
        while not play.reloader.last_ok:  # noqa: ASYNC110 - as above
            await asyncio.sleep(1.0)
    assert play.stats.reloads == {"rejected": 1, "unchanged": 1}
    assert [event.kind for event in play.events] == ["reload_rejected", "reload_applied"]
    assert (play.events[-1].detail["changes"], play.taken) == (0, [])
    await play.reloader.close()
