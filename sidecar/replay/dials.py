"""What dials showed of one service's addresses, and when: the answers to probes that the recording did not make.

A probe that the recording made too is answered by that one, whenever it ended. Any other is answered by what was last
known. Where nothing was, or where nobody had looked for a while, the answer is assumed; the report says so.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from sidecar.errors import FAILURES, Failure
from sidecar.telemetry.worth import PROBE_AGAIN

LATE = 1.0
"""Seconds that a dial may take on a busy machine: it waits for its turn, and for the loop."""

KNOWN_FOR = PROBE_AGAIN + 5.0
"""Seconds after which a result is no longer known to hold: while one is probed, it is recorded again before that."""


@dataclass(frozen=True, slots=True)
class Dialled:
    """A dial of `address` ended at `at`; `failure` None is success. `probe`: nobody but a probe would have made it."""

    at: float
    address: str
    failure: Failure | None
    probe: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """What a probe is told; `since` when that had been seen last, None: never."""

    failure: Failure | None
    since: float | None

    def assumed(self, now: float) -> bool:
        """Whether that is a guess."""
        return self.since is None or now - self.since > KNOWN_FOR


class Dials:
    """All that was recorded, by address."""

    def __init__(self, recorded: Iterable[Dialled]) -> None:
        self._of: defaultdict[str, list[Dialled]] = defaultdict(list)
        for one in recorded:
            self._of[one.address].append(one)
        self._times = {address: [one.at for one in dials] for address, dials in self._of.items()}

    def __repr__(self) -> str:
        return f"<Dials of {len(self._of)} addresses>"

    def is_under_way(self, address: str, now: float, *, patience: float) -> bool:
        """Whether a recorded dial is about to end: one that was given up after `patience` seconds took those, too."""
        place = bisect_right(self._times.get(address, []), now)
        if place == len(self._of.get(address, [])):
            return False
        dial = self._of[address][place]
        given_up = dial.failure is FAILURES["connect_timeout"]
        return dial.at <= now + LATE + (patience if given_up else 0.0)

    def known(self, address: str, now: float) -> Answer:
        """What the last one showed; an address of which nothing is known is taken to be there."""
        place = bisect_right(self._times.get(address, []), now)
        if not place:
            return Answer(None, None)
        last = self._of[address][place - 1]
        return Answer(last.failure, last.at)
