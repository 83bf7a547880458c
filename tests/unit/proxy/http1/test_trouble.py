"""What trouble remembers."""

from sidecar.proxy.http1.trouble import Trouble


def test_pauses_double_up_to_a_second() -> None:
    """100, 200, 400, 800 milliseconds, then a second each time."""
    trouble = Trouble(wait=3.0)
    assert [trouble.next_delay() for _ in range(6)] == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


def test_cancelling_what_never_began_harms_nobody() -> None:
    """A request that ends early has no timers."""
    trouble = Trouble(wait=3.0)
    trouble.cancel_dial()
    trouble.cancel_timers()
    assert repr(trouble) == "<Trouble 0 tries>"
