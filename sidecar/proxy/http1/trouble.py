"""What a request remembers once it did not go straight over a pooled connection."""

import asyncio
from typing import TYPE_CHECKING

from sidecar.cluster.endpoint import Endpoint
from sidecar.errors import Failure
from sidecar.proxy.waiting import AGAIN_FIRST, AGAIN_MOST
from sidecar.record import AttemptRecord

if TYPE_CHECKING:
    from sidecar.proxy.http1.attempt import Attempt


class Trouble:
    """The memory of a request that needs more than one try, a dial or a wait; most requests have none."""

    __slots__ = (
        "counted",
        "delay",
        "dialling",
        "excluded",
        "fresh_only",
        "last",
        "pause",
        "per_try",
        "proven",
        "tries",
        "urx",
        "wait",
        "wait_began",
        "waited",
        "why_again",
        "witness",
    )

    def __init__(self, wait: float) -> None:
        self.wait = wait
        """Seconds of waiting that are left."""
        self.waited = False
        self.wait_began = 0.0
        self.dialling: asyncio.Task[None] | None = None
        self.tries: list[AttemptRecord] = []
        """The attempts that failed."""
        self.last: Failure | None = None
        self.excluded: set[Endpoint] = set()
        self.counted = 0
        """Counted retries so far."""
        self.why_again: str | None = None
        """Why the attempt that comes next is made."""
        self.witness: Attempt | None = None
        """An open attempt at an endpoint that stalled, while another is under way."""
        self.delay = AGAIN_FIRST
        self.pause: asyncio.TimerHandle | None = None
        self.per_try: asyncio.TimerHandle | None = None
        self.fresh_only = False
        """A reused connection was lost: no second one of that kind."""
        self.proven = False
        """A retry was allowed by proof of non-delivery."""
        self.urx = False
        """A further attempt was refused by num_retries or the budget."""

    def __repr__(self) -> str:
        return f"<Trouble {len(self.tries)} tries{', with a witness' if self.witness else ''}>"

    def next_delay(self) -> float:
        """Seconds until the same endpoints are asked again."""
        delay, self.delay = self.delay, min(self.delay * 2, AGAIN_MOST)
        return delay

    def cancel_dial(self) -> None:
        if self.dialling is not None:
            self.dialling.cancel()
            self.dialling = None

    def cancel_pause(self) -> None:
        if self.pause is not None:
            self.pause.cancel()
            self.pause = None

    def cancel_timers(self) -> None:
        """The request is over."""
        self.cancel_pause()
        if self.per_try is not None:
            self.per_try.cancel()
            self.per_try = None
