"""Where a request stands."""

import enum
from typing import Final


class Phase(enum.Enum):
    """One at a time; the value is what a repr shows."""

    CHOOSING = "choosing"
    CONNECTING = "connecting"
    WAITING = "waiting for an instance"
    PAUSING = "pausing before the same endpoint"
    AWAITING = "awaiting an answer"
    ANSWERING = "answering"
    TUNNEL = "tunnel"
    DONE = "done"

    __hash__ = object.__hash__  # as good for members and not Python code


HEARING: Final = frozenset({Phase.AWAITING, Phase.ANSWERING, Phase.TUNNEL})
"""An instance may speak."""

OPEN: Final = HEARING | {Phase.CONNECTING}
"""An attempt is under way."""
