"""One endpoint's state."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.cluster.endpoint import PRECEDENCE, Endpoint, State, state_of
from sidecar.cluster.guard import Hold, Proof
from sidecar.cluster.policy import Range
from sidecar.cluster.quarantine import Quarantine
from sidecar.cluster.standing import Ejection, Standing
from tests.support.clusters import Even, instance


def make(*facts: State) -> Endpoint:
    """An endpoint of which the facts behind all these states are true."""
    endpoint = Endpoint(instance("a"), 0.0)
    for fact in facts:
        FACTS[fact](endpoint)
    return endpoint


def _stand(endpoint: Endpoint, standing: Standing) -> None:
    endpoint.ejection = Ejection()
    endpoint.ejection.standing = standing


FACTS: dict[State, Callable[[Endpoint], None]] = {
    State.DRAINING: lambda e: setattr(e, "present", False),
    State.DISABLED: lambda e: setattr(e, "instance", instance("a", weight=0.0)),
    State.UNHEALTHY: lambda e: setattr(e, "shunned", True),
    State.QUARANTINED: lambda e: setattr(e, "quarantine", Quarantine(0.0)),
    State.EJECTED: lambda e: _stand(e, Standing.EJECTED),
    State.PROBATION: lambda e: _stand(e, Standing.PROBATION),
    State.HELD: lambda e: setattr(e, "hold", Hold(0.0, 0.0)),
    State.LEAVING: lambda e: setattr(e, "leaving_until", 10.0),
    State.STALLED: lambda e: setattr(e, "stalled", True),
    State.AVAILABLE: lambda _: None,
}


def test_precedence_is_the_order_of_the_contract() -> None:
    """Each state has one row, in the order in which the words are declared."""
    assert [state for state, _ in PRECEDENCE] == list(State)


@pytest.mark.parametrize("off", [{"weight": 0.0}, {"enabled": False}])
def test_the_list_the_operator_and_being_ourselves_disable(off: dict[str, Any]) -> None:
    """Each alone is enough, and only the operator's order has an end by time."""
    by_list, by_hand, ourselves = (Endpoint(instance("a"), 0.0) for _ in range(3))
    by_list.instance, by_hand.shut_until, ourselves.is_self = instance("a", **off), 30.0, True
    for endpoint in (by_list, by_hand, ourselves):
        endpoint.state = state_of(endpoint)
        assert endpoint.state is State.DISABLED
    assert [endpoint.until() for endpoint in (by_list, by_hand, ourselves)] == [None, 30.0, None]
    by_list.shut_until = 30.0
    assert by_list.until() is None


@pytest.mark.parametrize("state", State)
def test_one_fact_makes_its_state(state: State) -> None:
    """Each state follows from its own fact alone."""
    assert state_of(make(state)) is state


ORDERLY = [
    (first, second)
    for first, second in itertools.combinations(State, 2)
    if (first, second) not in {(State.UNHEALTHY, State.HELD), (State.EJECTED, State.PROBATION)}
]
"""A held endpoint's health bit is the one in doubt; a standing is one of two."""


@pytest.mark.parametrize(("first", "second"), ORDERLY)
def test_of_two_facts_the_earlier_row_wins(first: State, second: State) -> None:
    """With both facts true, the state is that of the earlier row, whichever came first."""
    assert state_of(make(first, second)) is first
    assert state_of(make(second, first)) is first


def test_a_doubted_health_bit_is_not_heeded() -> None:
    """Called unhealthy and held for it: held."""
    assert state_of(make(State.UNHEALTHY, State.HELD)) is State.HELD


@given(st.sets(st.sampled_from(State)))
def test_every_combination_of_facts_is_some_state(facts: set[State]) -> None:
    """There is always exactly one state, and it is available only when no other fact is true."""
    state = state_of(make(*facts))
    assert (state is State.AVAILABLE) == (facts <= {State.AVAILABLE})


def test_starting_anew_forgets_all_but_live_counts() -> None:
    """A re-listed address keeps what is in flight and loses what was believed of it."""
    endpoint = make(*State)
    endpoint.told = "ghost"
    endpoint.in_flight, endpoint.requests, endpoint.owed = 2, 9, 1
    endpoint.instance = instance("a")
    endpoint.begin_anew(50.0)
    assert state_of(endpoint) is State.AVAILABLE
    assert (endpoint.in_flight, endpoint.requests, endpoint.owed, endpoint.since) == (2, 9, 1, 50.0)
    assert endpoint.told is None


@pytest.mark.parametrize(
    ("facts", "shown"),
    [
        ((), "<Endpoint 10.0.0.1:80 available, 0 in flight>"),
        ((State.QUARANTINED,), "<Endpoint 10.0.0.1:80 quarantined (not dialled yet), 0 in flight>"),
        ((State.HELD,), "<Endpoint 10.0.0.1:80 held, 0 in flight>"),
    ],
)
def test_the_repr_reads_like_a_status_line(facts: tuple[State, ...], shown: str) -> None:
    """Address, state with its reason, load."""
    endpoint = make(*facts)
    endpoint.state = state_of(endpoint)
    assert repr(endpoint) == shown


def test_a_zombie_has_refused_for_ten_seconds_though_listed() -> None:
    """At 9.9 s it may be restarting; one that is not listed as healthy is none at all."""
    endpoint = make(State.QUARANTINED)
    assert endpoint.quarantine is not None
    endpoint.quarantine.failed("refused", 100.0, backoff=Range(0.1, 30), rng=Even())
    endpoint.state = state_of(endpoint)
    assert [endpoint.verdict(now) for now in (109.9, 110.0)] == [None, "zombie"]
    endpoint.instance = instance("a", healthy=False)
    assert endpoint.verdict(200.0) is None
    endpoint.instance, endpoint.state = instance("a"), State.DISABLED
    assert endpoint.verdict(200.0) is None, "nobody dials it any more"


def test_a_ghost_answers_though_unlisted() -> None:
    """A held endpoint is a ghost once it was seen alive."""
    endpoint = make(State.HELD)
    endpoint.listed = False
    assert endpoint.hold is not None
    assert endpoint.verdict(0.0) is None
    endpoint.hold.seen(Proof.PROBE)
    assert endpoint.verdict(0.0) == "ghost"


def test_until_is_the_end_that_time_alone_brings() -> None:
    """Next try, end of ejection, end of leaving; nothing else ends by itself."""
    ends = {}
    for state in State:
        endpoint = make(state)
        endpoint.state = state
        if endpoint.ejection is not None:
            endpoint.ejection.until = 30.0
        ends[state] = endpoint.until()
    assert {state: end for state, end in ends.items() if end is not None} == {
        State.QUARANTINED: 0.0,
        State.EJECTED: 30.0,
        State.LEAVING: 10.0,
    }
