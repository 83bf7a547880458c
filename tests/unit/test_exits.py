"""Exit codes are those that supervisors and shells know."""

import os
import signal

from sidecar.exits import Exit


def test_codes_are_those_of_the_system() -> None:
    """Unavailable and misconfigured as in sysexits.h, ended by a signal as a shell tells it."""
    assert (Exit.UNAVAILABLE, Exit.CONFIG) == (os.EX_UNAVAILABLE, os.EX_CONFIG)
    assert (Exit.INTERRUPTED, Exit.TERMINATED) == (128 + signal.SIGINT, 128 + signal.SIGTERM)
