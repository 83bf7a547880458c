"""Claims about what is kept on disk, and when."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from sidecar.app.keeper import Keeper
from sidecar.app.services import Service
from sidecar.cluster.events import Event
from sidecar.cluster.instance import Instance, Origin
from sidecar.cluster.policy import Discovery
from sidecar.cluster.stats import ProcessStats
from sidecar.discovery.last_good import REFRESH, LastGood
from tests.support.clusters import Stage
from tests.support.until import until


class SlowFiles:
    """Writes when the test says so; may fail."""

    def __init__(self) -> None:
        self.saved: list[tuple[str, ...]] = []
        self.ages: list[float] = []
        self.go = asyncio.Event()
        self.error: OSError | None = None

    async def save(self, service: str, discovery: Discovery, instances: Sequence[Instance], *, age: float) -> None:
        self.ages.append(age)
        listed = tuple(instance.address for instance in instances)
        await self.go.wait()
        if self.error is not None:
            raise self.error
        self.saved.append(listed)


class Play:
    """A keeper, one service, and what came of it."""

    def __init__(self) -> None:
        self.files = SlowFiles()
        self.events: list[Event] = []
        self.stats = ProcessStats()
        self.stage = Stage()
        self.keeper = Keeper(cast("LastGood", self.files), self.events.extend, self.stats, now=lambda: self.stage.now)
        self.service = cast("Service", SimpleNamespace(name="orders", cluster=self.stage.cluster))

    async def settle(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)


async def test_changes_during_a_write_are_written_once_after_it() -> None:
    """However many lists arrive while the disk is slow, the last one is written, and only once more."""
    play = Play()
    play.stage.lists("a")
    play.keeper.keep(play.service)
    await play.settle()
    play.stage.lists("ab")
    play.keeper.keep(play.service)
    play.stage.lists("abc")
    play.keeper.keep(play.service)
    play.files.go.set()
    await play.settle()
    assert play.files.saved == [("10.0.0.1:80",), ("10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80")]


async def test_a_service_that_was_replaced_during_a_write_is_written_after_it() -> None:
    """The list of the new configuration, not once more that of the old one, which the next start would not believe."""
    play, after = Play(), Stage()
    play.stage.lists("a")
    play.keeper.keep(play.service)
    await play.settle()
    after.lists("b")
    play.keeper.keep(cast("Service", SimpleNamespace(name="orders", cluster=after.cluster)))
    play.files.go.set()
    await play.settle()
    assert play.files.saved == [("10.0.0.1:80",), ("10.0.0.2:80",)]


async def test_a_full_disk_is_told_once_and_counted_every_time() -> None:
    """Failed writes do not fill the log; the counter shows that they go on; a success ends the silence."""
    play = Play()
    play.files.go.set()
    play.files.error = OSError(28, "No space left on device")
    for _ in range(3):
        play.keeper.keep(play.service)
        await play.settle()
    assert [event.kind for event in play.events] == ["snapshot_write_failed"]
    assert play.stats.snapshot_write_errors == 3
    play.files.error = None
    play.keeper.keep(play.service)
    await play.settle()
    play.files.error = OSError(28, "No space left on device")
    play.keeper.keep(play.service)
    await play.settle()
    assert len(play.events) == 2


async def test_unchanged_lists_are_written_again_before_they_look_old() -> None:
    """A quiet registry does not let the files age: each confirmed list is written again after the refresh time."""
    play = Play()
    play.files.go.set()
    play.stage.lists("a")
    play.keeper.refresh([play.service], 1000.0)
    play.keeper.refresh([play.service], 1000.0 + REFRESH - 1)
    await play.settle()
    assert len(play.files.saved) == 1
    play.keeper.refresh([play.service], 1000.0 + REFRESH)
    await play.settle()
    assert len(play.files.saved) == 2


async def test_a_list_that_the_registry_never_confirmed_is_not_refreshed() -> None:
    """What came from disk keeps the age it had: else a dead registry would keep it young for ever."""
    play = Play()
    play.files.go.set()
    play.stage.lists("a", origin=Origin.DISK, epoch=0, age=60.0)
    play.keeper.refresh([play.service], 1000.0)
    await play.settle()
    assert play.files.saved == []


async def test_a_list_is_kept_with_the_time_for_which_the_registry_has_been_silent() -> None:
    """Written again while the registry is down, it does not pretend to be confirmed."""
    play = Play()
    play.files.go.set()
    play.stage.lists("a")
    play.stage.now += 700
    play.keeper.keep(play.service)
    await play.settle()
    assert play.files.ages == [700.0]


async def test_real_files_are_what_the_keeper_writes(tmp_path: Path) -> None:
    """The keeper and the files fit together: what was kept is what the next start reads."""
    stage = Stage()
    stage.lists("ab")
    files = LastGood(tmp_path)
    service = cast("Service", SimpleNamespace(name="orders", cluster=stage.cluster))
    Keeper(files, lambda _: None, ProcessStats(), now=lambda: stage.now).keep(service)

    async def written() -> bool:
        return files.path("orders").exists()

    await until(written, pause=0.01)
    push = await LastGood(tmp_path).load("orders", stage.cluster.policy.discovery)
    assert [one.address for one in getattr(push, "instances", ())] == ["10.0.0.1:80", "10.0.0.2:80"]
