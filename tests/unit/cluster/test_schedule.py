"""Whose turn it is, and how many dials may go out."""

import math

import pytest

from sidecar.cluster.allowance import Allowance
from sidecar.cluster.endpoint import Endpoint, State
from sidecar.cluster.guard import Hold
from sidecar.cluster.instance import Instance
from sidecar.cluster.policy import LoadBalancing, Probe, Protection, ServicePolicy
from sidecar.cluster.quarantine import Quarantine
from sidecar.cluster.schedule import AT_ONCE, BURST, LOOKS, PROBES_A_SECOND, PROBES_AT_ONCE, RAMP_STEP, Schedule
from tests.support.clusters import instance

NOW = 100.0


def schedule(probe: Probe = Probe.TCP) -> Schedule:
    return Schedule(ServicePolicy("orders", protection=Protection(probe=probe)), NOW, plenty())


def plenty() -> Allowance:
    """Other services leave enough."""
    return Allowance(1e6, 10**6, NOW)


def out(one: Instance | None = None, *, tried: float = -math.inf, next_try: float = NOW) -> Endpoint:
    """An endpoint that is quarantined."""
    endpoint = Endpoint(one or instance("a"), NOW)
    endpoint.quarantine = Quarantine(NOW)
    endpoint.quarantine.tried, endpoint.quarantine.next_try = tried, next_try
    endpoint.state = State.QUARANTINED
    return endpoint


def many(count: int) -> list[Endpoint]:
    return [out(Instance(f"10.1.{i // 250}.{i % 250}", 80)) for i in range(count)]


def test_a_first_burst_is_dialled_then_so_many_a_second() -> None:
    """Of a thousand that nobody has dialled, 16 at once; though all of those end at once, 160 in the next second."""
    plan = schedule()
    for endpoint in many(1000):
        plan.follow(endpoint, NOW)
    first = plan.dial(NOW)
    assert len(first) == BURST
    for endpoint in first:
        plan.dialled(endpoint)
    begun, now = 0, NOW
    while (now := plan.next_due()) <= NOW + 1.0:
        for endpoint in plan.dial(now):
            plan.dialled(endpoint)
            begun += 1
    assert begun == pytest.approx(PROBES_A_SECOND, abs=1)


def test_a_rest_earns_no_more_than_a_burst() -> None:
    """After a quiet hour it is 16 at once again, not half a million."""
    plan = schedule()
    for endpoint in many(200):
        plan.follow(endpoint, NOW)
    assert len(plan.dial(NOW + 3600.0)) == BURST


def test_those_that_need_no_dial_any_more_are_passed_over_a_few_at_a_time() -> None:
    """A thousand whose holds have ended while they queued: what is left of them is due at once, until nobody is."""
    plan, endpoints = schedule(), [Endpoint(Instance(f"10.1.{i // 250}.{i % 250}", 80), NOW) for i in range(1000)]
    for endpoint in endpoints:
        endpoint.hold = Hold(NOW, NOW)
        plan.follow(endpoint, NOW)
    for endpoint in endpoints:
        endpoint.hold = None
    searches = 0
    while plan.next_due() <= NOW:
        assert plan.dial(NOW) == []
        searches += 1
    assert searches >= 1000 / LOOKS
    assert repr(plan) == "<Schedule: 0 turns, 0 probes, 0 overdue>"


def test_services_share_what_all_of_them_may_begin() -> None:
    """What one has taken the next does not get; it is told when there is more."""
    dials = Allowance(100.0, BURST + 4, NOW)
    plans = [Schedule(ServicePolicy("orders"), NOW, dials) for _ in range(2)]
    for plan in plans:
        for endpoint in many(BURST):
            plan.follow(endpoint, NOW)
    assert [len(plan.dial(NOW)) for plan in plans] == [BURST, 4]
    assert plans[1].next_due() == pytest.approx(NOW + 0.01)


def test_nothing_is_due_while_every_place_in_the_air_is_taken() -> None:
    """A result makes room; no time is planned for it."""
    plan = schedule()
    for endpoint in many(PROBES_AT_ONCE + 1):
        plan.follow(endpoint, NOW)
    flying: list[Endpoint] = []
    while (due := plan.next_due()) < math.inf:
        flying += plan.dial(due)
    assert len(flying) == PROBES_AT_ONCE
    plan.dialled(flying[0])
    assert plan.next_due() < math.inf


def test_who_is_out_is_dialled_before_who_is_held() -> None:
    """A held one is in use meanwhile; of those that are held, whose turn came first."""
    plan, held = schedule(), [Endpoint(instance(letter), NOW) for letter in "abc"]
    for endpoint, at in zip(held, (3.0, 1.0, 2.0), strict=True):
        endpoint.hold = Hold(NOW - 60, NOW)
        endpoint.hold.next_probe = NOW - 10 + at
        plan.follow(endpoint, NOW)
    refused = out(instance("d"), tried=NOW - 1)
    plan.follow(refused, NOW)
    assert plan.dial(NOW) == [refused, held[1], held[2], held[0]]


def test_the_longest_untried_is_dialled_first() -> None:
    """Whatever the order in which their times came."""
    plan = schedule()
    late, early = out(instance("a"), tried=90.0), out(instance("b"), tried=80.0)
    for endpoint in (late, early):
        plan.follow(endpoint, NOW)
    assert plan.dial(NOW) == [early, late]


def test_time_does_something_to_a_few_hundred_in_one_step() -> None:
    """Of a thousand ejections that end at the same moment one slice ends; those left are due at once."""
    plan = schedule()
    for endpoint in many(1000):
        endpoint.shut_until = NOW + 5
        plan.follow(endpoint, NOW)
    assert len(plan.take_turns(NOW + 5)) == AT_ONCE
    assert plan.next_due() <= NOW + 5


def test_waiting_requests_move_plans_nearer() -> None:
    """A tenth of a second after the last try, however far off the next one was; asked for once, when waiting begins."""
    plan, endpoint = schedule(), out(tried=NOW - 0.05, next_try=NOW + 30)
    plan.follow(endpoint, NOW)
    plan.waiting = 1
    assert plan.next_due() == -math.inf
    plan.hurry([endpoint])
    assert plan.next_due() == NOW + 0.05
    plan.waiting = 2
    assert plan.next_due() == NOW + 0.05
    assert plan.waiting == 2


def test_all_that_refuse_are_hurried_a_slice_at_a_time() -> None:
    """However many they are, the last of them as well."""
    plan, endpoints = schedule(), [out(tried=NOW - 1, next_try=NOW + 30) for _ in range(3 * AT_ONCE)]
    for endpoint in endpoints:
        plan.follow(endpoint, NOW)
    plan.waiting = 1
    slices = 0
    while plan.next_due() == -math.inf:
        plan.hurry(endpoints)
        slices += 1
    assert slices == 3
    assert plan._probes.take(NOW, most=1000) == endpoints


def test_a_held_one_is_dialled_by_its_hold() -> None:
    """In use or not; but not one that is on its way out, nor one that is being dialled."""
    plan, endpoint = schedule(), Endpoint(instance("a"), NOW)
    endpoint.hold = Hold(NOW, NOW)
    endpoint.hold.next_probe = NOW + 1
    assert plan.probe_at(endpoint) == NOW + 1
    endpoint.state = State.DRAINING
    assert plan.probe_at(endpoint) == math.inf
    endpoint.state, endpoint.probing = State.HELD, True
    assert plan.probe_at(endpoint) == math.inf


def test_without_probes_a_request_may_try() -> None:
    """`probe: none`: the same moment, but a request is what dials; one at a time."""
    plan, endpoint = schedule(Probe.NONE), out(next_try=NOW + 2)
    assert (plan.probe_at(endpoint), plan.trial_at(endpoint)) == (math.inf, NOW + 2)
    assert plan.turn_at(endpoint) == NOW + 2
    endpoint.in_flight = 1
    assert plan.trial_at(endpoint) == NOW + 2
    endpoint.on_trial = True
    assert plan.trial_at(endpoint) == math.inf


def test_weights_are_taken_anew_while_somebody_ramps_up() -> None:
    """Every half second until the last one has all of its weight, and once more."""
    plan, endpoint = schedule(), Endpoint(instance("a"), NOW)
    plan.policy = ServicePolicy("orders", load_balancing=LoadBalancing(slow_start=1.0))
    endpoint.ramp_from = NOW
    plan.follow(endpoint, NOW)
    steps = 0
    while (due := plan.next_due()) < math.inf:
        assert not plan.take_step(due - 0.001)
        assert plan.take_step(due)
        steps += 1
    assert steps == 1.0 / RAMP_STEP


def test_who_is_forgotten_has_no_turn() -> None:
    """Neither of time nor of a dial."""
    plan, endpoint = schedule(), out()
    endpoint.leaving_until = NOW + 1
    plan.follow(endpoint, NOW)
    plan.forget(endpoint)
    assert plan.next_due() == math.inf
    assert plan.dial(NOW) == []
    assert repr(plan) == "<Schedule: 0 turns, 0 probes, 0 overdue>"
