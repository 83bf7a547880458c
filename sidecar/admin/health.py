"""Readiness as latches: the sidecar is ready when every one is open.

Why latches and not checks: losing every instance later must not make the pod unready, for that would take the app out of its own
service. So each opens once; only `not_draining` can close.
"""

from collections.abc import Iterable
from dataclasses import dataclass

LAG_LIMIT = 5.0
"""Seconds of event-loop lag from which on a restart is the better choice."""


@dataclass(frozen=True, slots=True)
class Latch:
    """One condition; `why` tells people what a closed one waits for."""

    name: str
    open: bool
    why: str | None = None


def latches(
    *, configured: bool, listening: bool, services: Iterable[tuple[str, bool]], draining: bool
) -> tuple[Latch, ...]:
    """All latches, in the order in which they open. `services`: name and whether a first list is in, of the required ones."""
    return (
        _latch("config", opened=configured, otherwise="no configuration loaded yet"),
        _latch("listeners", opened=listening, otherwise="not every listener is bound yet"),
        *(_latch(f"service/{name}", opened=listed, otherwise="no instance list yet") for name, listed in services),
        _latch("not_draining", opened=not draining, otherwise="draining"),
    )


def is_ready(latches: Iterable[Latch]) -> bool:
    """Whether every latch is open."""
    return all(latch.open for latch in latches)


def complaint(lag: float) -> str | None:
    """Why the process is not healthy, None while it is; `lag` is that of the event loop in seconds."""
    return None if lag < LAG_LIMIT else f"lag {lag:.1f}s"


def _latch(name: str, *, opened: bool, otherwise: str) -> Latch:
    return Latch(name, opened, None if opened else otherwise)
