"""What the process takes of the machine, under the names that dashboards know from programs in any language.

Why by hand: the client library that has these is otherwise not needed at run time, and brings a web server along.
"""

import gc
import os
import platform
import resource
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from sidecar.telemetry.family import Family, Kind

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Usage:
    """At one scrape, as proc(5) tells it; times in seconds, of the CPU in user and system together."""

    cpu_seconds: float
    started_at: float
    """Unix time."""
    virtual_bytes: int
    resident_bytes: int
    open_files: int
    file_limit: int


def usage() -> Usage | None:
    """Of this process, now; None on systems that tell nothing."""
    try:
        stat = (_PROC / "self/stat").read_text("ascii", "replace").rpartition(")")[2].split()
        open_files = sum(1 for _ in (_PROC / "self/fd").iterdir())
    except OSError:
        return None
    ticks = os.sysconf("SC_CLK_TCK")
    return Usage(
        cpu_seconds=(int(stat[11]) + int(stat[12])) / ticks,
        started_at=_booted_at() + int(stat[19]) / ticks,
        virtual_bytes=int(stat[20]),
        resident_bytes=int(stat[21]) * resource.getpagesize(),
        open_files=open_files,
        file_limit=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
    )


@cache
def _booted_at() -> int:
    lines = (_PROC / "stat").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("btime "))


def _of_generations(what: str) -> dict[tuple[str], int]:
    return {(str(number),): counts[what] for number, counts in enumerate(gc.get_stats())}


_C, _G = Kind.COUNTER, Kind.GAUGE

_PYTHON = {(platform.python_implementation(), *platform.python_version_tuple(), platform.python_version()): 1}

USAGE: tuple[Family[Usage], ...] = (
    Family("process_cpu_seconds_total", _C, "CPU time, user and system", lambda u: u.cpu_seconds),
    Family("process_start_time_seconds", _G, "Unix time of the start", lambda u: u.started_at),
    Family("process_resident_memory_bytes", _G, "Memory in use", lambda u: u.resident_bytes),
    Family("process_virtual_memory_bytes", _G, "Memory mapped, most of it never touched", lambda u: u.virtual_bytes),
    Family(
        "process_open_fds",
        _G,
        "Open file descriptors; a pooled connection has two, a large upload three more while there are plenty",
        lambda u: u.open_files,
    ),
    Family("process_max_fds", _G, "How many there may be", lambda u: u.file_limit),
)
"""Absent where the system tells nothing. No label of the subject, as below."""

INTERPRETER: tuple[Family[None], ...] = (
    Family(
        "python_gc_collections_total",
        _C,
        "Runs of the garbage collector",
        lambda _: _of_generations("collections"),
        ("generation",),
    ),
    Family(
        "python_gc_objects_collected_total",
        _C,
        "Objects that it freed",
        lambda _: _of_generations("collected"),
        ("generation",),
    ),
    Family(
        "python_gc_objects_uncollectable_total",
        _C,
        "Objects that it could not free",
        lambda _: _of_generations("uncollectable"),
        ("generation",),
    ),
    Family(
        "python_info",
        _G,
        "The interpreter; always 1",
        lambda _: _PYTHON,
        ("implementation", "major", "minor", "patchlevel", "version"),
    ),
)

MACHINE: tuple[Family[Any], ...] = (*USAGE, *INTERPRETER)
