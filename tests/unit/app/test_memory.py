"""When the memory of addresses is swept, and kept."""

from pathlib import Path

import pytest

from sidecar.app.memory import PAUSE, PAUSE_AFTER_FAILURE, Memory
from sidecar.cluster.addresses import Addresses
from sidecar.cluster.events import Event
from sidecar.cluster.stats import ProcessStats
from sidecar.discovery.departed import NAME
from sidecar.discovery.last_good import Ignored
from tests.support.until import settled

A, B = "10.0.0.1:80", "10.0.0.2:80"


class Play:
    """A process with a memory, and a clock of the test's."""

    def __init__(self, folder: Path | None, *, memory: float = 600.0) -> None:
        self.now = 1000.0
        self.events: list[Event] = []
        self.stats = ProcessStats()
        self.addresses = Addresses(memory)
        self.claims = self.addresses.of("orders")
        self.memory = Memory(self.addresses, self.events.extend, self.stats, now=lambda: self.now)
        self.memory.follow(folder, memory)

    def leaves(self, address: str) -> None:
        self.claims.lists(address, self.now)
        self.claims.lets_go(address, self.now)

    async def beat(self, passed: float = 0.0) -> None:
        """Time passes, and what that begins is done."""
        self.now += passed
        self.memory.slow_beat(self.now)
        await settled(lambda: self.memory._saving is None)

    def known(self) -> list[str]:
        return [one.address for one in self.addresses.departed()]


async def successor(folder: Path) -> Play:
    """The next process."""
    play = Play(folder)
    assert await play.memory.load() is None
    return play


async def test_what_left_is_known_to_the_next_process(tmp_path: Path) -> None:
    """Written with the next beat: a process that is killed loses a moment at most."""
    play = Play(tmp_path)
    play.leaves(A)
    await play.beat()
    assert (await successor(tmp_path)).known() == [A]


async def test_changes_within_a_pause_are_written_together(tmp_path: Path) -> None:
    """And what has not changed is not written at all."""
    play = Play(tmp_path)
    play.leaves(A)
    await play.beat()
    play.leaves(B)
    await play.beat(PAUSE / 2)
    assert (await successor(tmp_path)).known() == [A]
    await play.beat(PAUSE / 2)
    assert (await successor(tmp_path)).known() == [A, B]
    (tmp_path / NAME).unlink()
    await play.beat(10 * PAUSE)
    assert not (tmp_path / NAME).exists()


async def test_the_end_of_the_process_writes_what_is_left(tmp_path: Path) -> None:
    """Also what changes while a write is under way."""
    play = Play(tmp_path)
    play.leaves(A)
    play.memory.slow_beat(play.now)
    play.leaves(B)
    await play.memory.close()
    assert (await successor(tmp_path)).known() == [A, B]


async def test_what_is_over_is_swept(tmp_path: Path) -> None:
    """From memory and from the disk."""
    play = Play(tmp_path)
    play.leaves(A)
    await play.beat()
    await play.beat(601.0)
    assert repr(play.addresses) == "<Addresses 0, 0 left>"
    assert (await successor(tmp_path)).known() == []


@pytest.mark.parametrize(("folder", "memory"), [(False, 600.0), (True, 0.0)])
async def test_without_a_folder_or_a_memory_nothing_is_kept(tmp_path: Path, *, folder: bool, memory: float) -> None:
    """Neither is asked for the other."""
    play = Play(tmp_path if folder else None, memory=memory)
    play.leaves(A)
    await play.beat()
    await play.memory.close()
    assert await play.memory.load() is None
    assert not (tmp_path / NAME).exists()


async def test_a_reload_may_change_how_long_and_where(tmp_path: Path) -> None:
    """The new folder gets all that is remembered; a shorter memory holds at once."""
    play = Play(None)
    play.leaves(A)
    play.memory.follow(tmp_path, 60.0)
    await play.beat(1.0)
    assert (await successor(tmp_path)).known() == [A]
    await play.beat(60.0)
    assert play.known() == []


async def test_a_disk_that_fails_costs_nothing_but_the_copy(tmp_path: Path) -> None:
    """Told once, counted each time, tried again after a while, and told again when it fails anew."""
    folder = tmp_path / "lists"
    folder.write_text("")
    play = Play(folder)
    play.leaves(A)
    await play.beat()
    await play.beat(PAUSE)
    await play.beat(PAUSE_AFTER_FAILURE)
    assert [event.kind for event in play.events] == ["snapshot_write_failed"]
    assert play.stats.snapshot_write_errors == 2
    folder.unlink()
    await play.beat(PAUSE_AFTER_FAILURE)
    assert (await successor(folder)).known() == [A]


async def test_a_file_that_is_not_believed_is_told_of(tmp_path: Path) -> None:
    """And replaced by the next one."""
    (tmp_path / NAME).write_text("{")
    play = Play(tmp_path)
    assert await play.memory.load() == Ignored(tmp_path / NAME, "damaged")
    play.leaves(A)
    await play.beat()
    assert (await successor(tmp_path)).known() == [A]
