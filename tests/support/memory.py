"""What a process keeps in memory, as the kernel counts it (proc(5))."""

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple


class Kept(NamedTuple):
    """Bytes. `resident` counts shared pages in full, `proportional` by share; `own` are those that no file backs."""

    resident: int
    proportional: int
    own: int


def kept(pid: int) -> Kept:
    """At this moment."""
    sizes = _kilobytes(Path(f"/proc/{pid}/smaps_rollup"))
    return Kept(*(sizes[name] * 1024 for name in ("Rss", "Pss", "Anonymous")))


def threads(pid: int) -> int:
    """How many it has."""
    return sum(1 for _ in Path(f"/proc/{pid}/task").iterdir())


def by_mapping(pid: int) -> dict[str, int]:
    """Resident bytes by what is mapped: the name of a file, `[heap]` of malloc, `anonymous` for all the rest."""
    found: dict[str, int] = {}
    name = ""
    for line in Path(f"/proc/{pid}/smaps").read_text("utf-8", "replace").splitlines():
        if head := _MAPPING.match(line):
            name = Path(head[1]).name or "anonymous"
        elif line.startswith("Rss:"):
            found[name] = found.get(name, 0) + int(line.split()[1]) * 1024
    return found


def read_anew(files: Iterable[Path]) -> None:
    """Makes the kernel forget what it holds of these files, unless a process has them mapped.

    What was written a moment ago lies in memory in large pieces, and is mapped in large pieces when any byte of it is
    wanted: a newly installed program has up to a tenth more resident than the same one after a restart of the machine.
    """
    for file in files:
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


_MAPPING = re.compile(r"[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \S+ *(.*)")


def _kilobytes(file: Path) -> dict[str, int]:
    lines = (line.split() for line in file.read_text("ascii").splitlines()[1:])
    return {name.rstrip(":"): int(size) for name, size, *_ in lines}
