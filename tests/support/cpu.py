"""Which core a process runs on, and what it has used of it, as the kernel counts it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

_TICK = os.sysconf("SC_CLK_TCK")


class Used(NamedTuple):
    """Seconds of a process with all its threads, in steps of 1/100: in its own code, and in the kernel for it."""

    user: float
    system: float


def used(pid: int) -> Used:
    """So far."""
    after_name = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return Used(int(after_name[11]) / _TICK, int(after_name[12]) / _TICK)  # fields 14 and 15 of proc(5)


def children(pid: int) -> list[int]:
    """Its direct children, of whatever thread."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text(encoding="ascii").split()]


def cores() -> set[int]:
    """Those that this process may use."""
    return os.sched_getaffinity(0)


def pin(pid: int, core: int) -> None:
    """All threads of a process that runs, and those that it will have."""
    for thread in _threads(pid):
        os.sched_setaffinity(thread, {core})


def give_way(pid: int) -> None:
    """The process runs only while nobody else wants its core."""
    for thread in _threads(pid):
        os.sched_setscheduler(thread, os.SCHED_IDLE, os.sched_param(0))


@contextmanager
def giving_way(pid: int) -> Iterator[None]:
    """The same for the time of the block."""
    give_way(pid)
    try:
        yield
    finally:
        for thread in _threads(pid):
            os.sched_setscheduler(thread, os.SCHED_OTHER, os.sched_param(0))


def _threads(pid: int) -> list[int]:
    return [int(thread.name) for thread in Path(f"/proc/{pid}/task").iterdir()]


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """Whatever is started inside the block stays on this core."""
    before = cores()
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
