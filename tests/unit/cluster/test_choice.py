"""The order of choice."""

import random
from dataclasses import replace

import pytest

from sidecar.cluster.choice import Choice, Tier, ramped, tier_of
from sidecar.cluster.endpoint import Endpoint, State
from sidecar.cluster.guard import Hold, Proof
from sidecar.cluster.policy import LoadBalancing
from tests.support.clusters import instance


def make(letter: str, state: State, *, alive: bool = False, cluster: str = "A", in_flight: int = 0) -> Endpoint:
    endpoint = Endpoint(instance(letter, cluster=cluster), 0.0)
    endpoint.state, endpoint.in_flight = state, in_flight
    if state is State.HELD:
        endpoint.hold = Hold(0.0, 0.0)
        endpoint.hold.proof = Proof.PROBE if alive else None
    return endpoint


def chosen(
    *endpoints: Endpoint, excluded: tuple[Endpoint, ...] = (), prefer: str | None = None
) -> set[Endpoint | None]:
    choice = Choice(endpoints, LoadBalancing(prefer_cluster=prefer), rng=random.Random(1), now=0.0)
    return {choice.choose_without(excluded, 0.0) for _ in range(100)}


AVAILABLE = make("a", State.AVAILABLE)
ALIVE = make("b", State.HELD, alive=True)
IDLE = make("c", State.PROBATION)
LEAVING = make("d", State.LEAVING)
STALLED = make("e", State.STALLED)
UNPROVEN = make("f", State.HELD)
EJECTED = make("g", State.EJECTED)
ORDER = (LEAVING, STALLED, UNPROVEN, EJECTED)


def test_the_first_tier_shares() -> None:
    """Available, held and shown alive, and idle probation stand together, before all others."""
    assert chosen(AVAILABLE, ALIVE, IDLE, *ORDER) == {AVAILABLE, ALIVE, IDLE}


@pytest.mark.parametrize("rank", range(len(ORDER)))
def test_the_rest_come_one_after_the_other(rank: int) -> None:
    """Leaving, stalled, unproven held, ejected: each only when those before it are gone."""
    assert chosen(*reversed(ORDER[rank:])) == {ORDER[rank]}


def test_a_living_held_one_that_leaves_or_is_stalled_stands_with_its_like() -> None:
    """What its answers tell counts although the registry's absence is doubted."""
    leaving, stalled = make("a", State.HELD, alive=True), make("b", State.HELD, alive=True)
    leaving.leaving_until, stalled.stalled = 10.0, True
    assert [tier_of(leaving), tier_of(stalled)] == [Tier.LEAVING, Tier.STALLED]


@pytest.mark.parametrize("state", [State.DRAINING, State.DISABLED, State.UNHEALTHY, State.QUARANTINED])
def test_some_states_are_never_chosen(state: State) -> None:
    """Not even when nobody else is there."""
    assert tier_of(make("a", state)) is None
    assert chosen(make("a", state)) == {None}


def test_a_busy_one_on_probation_is_chosen_when_nobody_better_is_left() -> None:
    """One request at a time, but what is tried may last for hours; an ejected one comes later still."""
    busy, ejected, stalled = make("a", State.PROBATION), make("b", State.EJECTED), make("c", State.STALLED)
    busy.on_trial = True
    assert tier_of(busy) is Tier.UNPROVEN
    assert chosen(busy, ejected) == {busy}
    assert chosen(busy, stalled) == {stalled}


def test_one_request_may_try_a_quarantined_one_that_is_never_probed() -> None:
    """Due for its trial and idle it stands in the first tier."""
    endpoint = make("a", State.QUARANTINED)
    endpoint.trial = True
    assert tier_of(endpoint) is Tier.FIRST
    endpoint.in_flight = 1
    assert tier_of(endpoint) is Tier.FIRST
    endpoint.on_trial = True
    assert tier_of(endpoint) is None


def test_a_trial_has_its_turn_whatever_the_endpoint_carries_from_before() -> None:
    """Beside idle ones the busier of any two is never drawn; in a preferred cluster only those of it are tried."""
    tried, idle, far = make("a", State.PROBATION, in_flight=5), make("b", State.AVAILABLE), make("c", State.PROBATION)
    assert chosen(tried, idle) == {tried, idle}
    tried.instance, idle.instance = (replace(one.instance, cluster="near") for one in (tried, idle))
    assert chosen(tried, idle, far, prefer="near") == {tried, idle}


def test_the_preferred_cluster_comes_first_while_it_has_anyone() -> None:
    """Others of the first tier are chosen only when the preferred ones are excluded or gone."""
    near, far = make("a", State.AVAILABLE, cluster="A"), make("b", State.AVAILABLE, cluster="B")
    assert chosen(near, far, prefer="A") == {near}
    assert chosen(near, far, prefer="A", excluded=(near,)) == {far}
    assert chosen(near, far, prefer="C") == {near, far}


def test_preference_does_not_reach_beyond_the_first_tier() -> None:
    """An available endpoint elsewhere is better than a leaving one near by."""
    near, far = make("a", State.LEAVING, cluster="A"), make("b", State.AVAILABLE, cluster="B")
    assert chosen(near, far, prefer="A") == {far}


def test_the_excluded_are_never_chosen() -> None:
    """The next tier is asked before an excluded one is repeated, and nobody at all is better than a repeat."""
    assert chosen(AVAILABLE, STALLED, excluded=(AVAILABLE,)) == {STALLED}
    assert chosen(AVAILABLE, excluded=(AVAILABLE,)) == {None}


def test_weight_grows_evenly_from_a_tenth() -> None:
    """10 % at the start, 55 % half way, all of it at the end, and the ramp is over then."""
    endpoint = make("a", State.AVAILABLE)
    endpoint.ramp_from = 100.0
    assert [ramped(endpoint, 30.0, now) for now in (100.0, 115.0, 130.0)] == pytest.approx([0.1, 0.55, 1.0])
    assert endpoint.ramp_from is None


def test_nobody_at_all_is_no_choice() -> None:
    """Without endpoints there is nothing to draw from."""
    assert Choice((), LoadBalancing(), rng=random.Random(1), now=0.0).choose is None
