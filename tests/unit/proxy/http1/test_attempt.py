"""What an attempt owes, and what trouble remembers."""

from typing import cast

from sidecar.cluster.endpoint import Endpoint
from sidecar.cluster.instance import Instance
from sidecar.proxy.http1.attempt import Attempt, Trouble
from sidecar.proxy.http1.exchange import Exchange


def attempt() -> Attempt:
    return Attempt(cast("Exchange", None), Endpoint(Instance("10.0.0.1", 80), 0.0), 1.0)


def test_an_answer_is_owed_from_the_last_byte_written_and_settled_once() -> None:
    """However often it is settled, the endpoint's debt never falls below what others owe."""
    one = attempt()
    assert one.silent(9.0) == 0.0
    one.written(2.0)
    assert one.endpoint.owed == 1
    assert one.silent(5.0) == 3.0
    one.settled()
    one.settled()
    assert one.endpoint.owed == 0


def test_pauses_double_up_to_a_second() -> None:
    """100, 200, 400, 800 milliseconds, then a second each time."""
    trouble = Trouble(wait=3.0)
    assert [trouble.next_delay() for _ in range(6)] == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


def test_cancelling_what_never_began_harms_nobody() -> None:
    """A request that ends early has no timers."""
    trouble = Trouble(wait=3.0)
    trouble.cancel_dial()
    trouble.cancel_timers()
    assert repr(attempt()) == "<Attempt at 10.0.0.1:80>"
