"""What an attempt owes."""

from typing import cast

from sidecar.cluster.endpoint import Endpoint
from sidecar.cluster.instance import Instance
from sidecar.proxy.http1.attempt import Attempt
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


def test_its_repr_says_where_and_over_what() -> None:
    """A reused connection is worth a word: its loss means little."""
    one = attempt()
    assert repr(one) == "<Attempt at 10.0.0.1:80>"
    one.reused = True
    assert repr(one) == "<Attempt at 10.0.0.1:80, reused connection>"
