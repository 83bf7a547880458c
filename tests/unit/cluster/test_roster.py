"""Who comes, stays and goes, one at a time."""

import pytest

from sidecar.cluster.addresses import Addresses
from sidecar.cluster.endpoint import Endpoint
from sidecar.cluster.guard import End, Hold
from sidecar.cluster.quarantine import Reach
from sidecar.cluster.roster import Released, Roster
from sidecar.cluster.stats import ServiceStats
from tests.support.clusters import at, at_all, instance


@pytest.fixture
def roster() -> Roster:
    """`a` is known, and followed."""
    roster = Roster("orders", stats=ServiceStats(), own=at_all("s"))
    roster.enlist(instance("a"), 1.0, shunned=False, trusted=True)
    roster.touched.clear()
    return roster


def endpoint(roster: Roster, letter: str) -> Endpoint:
    return roster.endpoints[at(letter)]


def kinds(events: object) -> list[str]:
    assert isinstance(events, list)
    return [event.kind for event in events]


def test_a_newcomer_waits_for_its_first_dial(roster: Roster) -> None:
    """Unless the list is trusted."""
    assert kinds(roster.enlist(instance("b"), 2.0, shunned=False, trusted=False)) == ["endpoint_added"]
    quarantine = endpoint(roster, "b").quarantine
    assert quarantine is not None
    assert quarantine.reach is Reach.UNDIALLED
    assert endpoint(roster, "a").quarantine is None
    assert list(roster.touched) == [endpoint(roster, "b")]


def test_one_known_from_disk_is_trusted_with_the_first_real_list(roster: Roster) -> None:
    """Its dial is called off; one that was dialled and refused stays out."""
    for letter in "bc":
        roster.enlist(instance(letter), 2.0, shunned=False, trusted=False)
    refused = endpoint(roster, "c").quarantine
    assert refused is not None
    refused.reach = Reach.REFUSING
    for letter in "bc":
        assert roster.enlist(instance(letter), 3.0, shunned=False, trusted=True) == []
    assert endpoint(roster, "b").quarantine is None
    assert endpoint(roster, "c").quarantine is refused


def test_our_own_address_is_marked(roster: Roster) -> None:
    """A request to it would come back."""
    assert kinds(roster.enlist(instance("s"), 2.0, shunned=False, trusted=True)) == [
        "endpoint_added",
        "endpoint_is_self",
    ]
    assert endpoint(roster, "s").is_self


def test_whom_no_list_names_leaves_unless_held(roster: Roster) -> None:
    """An idle one is forgotten at once, a busy one when it is idle, a held one stays."""
    for letter in "bc":
        roster.enlist(instance(letter), 2.0, shunned=False, trusted=True)
    busy = endpoint(roster, "b")
    busy.in_flight = 1
    (held,) = roster.hold({at("c"): Hold(2.0, 2.0)})
    assert [kinds(roster.strike(at(letter), 3.0)) for letter in "abc"] == [
        ["endpoint_removed"],
        ["endpoint_removed"],
        [],
    ]
    assert roster.endpoints == {at("b"): busy, at("c"): held}
    assert roster.in_force() == (instance("c"),)
    busy.in_flight = 0
    roster.forget(busy)
    assert not roster.knows(busy)
    assert (roster.added, roster.removed) == (3, 2)


def test_striking_out_a_stranger_does_nothing(roster: Roster) -> None:
    """It may have gone by itself meanwhile: a held one that refused."""
    assert roster.strike(at("z"), 3.0) == []
    assert not roster.touched


def test_a_hold_is_news_once(roster: Roster) -> None:
    """The same hold again changes nothing."""
    holds = {at("a"): Hold(2.0, 2.0)}
    assert roster.hold(holds) == [endpoint(roster, "a")]
    assert roster.hold(holds) == []


def test_whoever_is_let_go_is_held_no_more_at_once() -> None:
    """Each is released in its turn, and tells how many are held still."""
    roster = Roster("orders", stats=ServiceStats(), own=frozenset())
    for letter in "abc":
        roster.enlist(instance(letter), 1.0, shunned=False, trusted=True)
    roster.hold({at(letter): Hold(2.0, 2.0) for letter in "abc"})
    released = list(roster.let_go({at("a"): End.GONE, at("c"): End.EXPIRED}, left=1))
    assert [endpoint(roster, letter).hold is None for letter in "abc"] == [True, False, True]
    assert [(one.endpoint.address, one.end, one.left) for one in released] == [
        (at("a"), End.GONE, 2),
        (at("c"), End.EXPIRED, 1),
    ]


@pytest.mark.parametrize("listed", [True, False])
def test_the_end_of_a_hold_removes_whom_no_list_names(roster: Roster, *, listed: bool) -> None:
    """Listed again, it simply stays."""
    one = endpoint(roster, "a")
    roster.hold({at("a"): Hold(2.0, 2.0)})
    one.listed = listed
    told = roster.release(Released(one, End.EXPIRED, left=4), 3.0)
    assert kinds(told) == ["hold_ended", *([] if listed else ["endpoint_removed"])]
    assert told[0].detail == {"by": "expired", "left": 4}
    assert one.hold is None
    assert roster.knows(one) is listed


@pytest.mark.scenario("S-14")
def test_an_address_that_comes_back_begins_anew(roster: Roster) -> None:
    """What is in flight is still counted; an order of the operator still stands."""
    one = endpoint(roster, "a")
    one.in_flight, one.failures = 1, 7
    roster.strike(at("a"), 2.5)
    roster.shut[at("a")] = 9.0
    roster.enlist(instance("a"), 3.0, shunned=True, trusted=False)
    assert endpoint(roster, "a") is one
    assert (one.present, one.in_flight, one.consecutive_failures, one.shunned, one.shut_until) == (
        True,
        1,
        0,
        True,
        9.0,
    )
    assert repr(roster) == "<Roster of 1>"


def test_it_says_whose_an_address_is() -> None:
    """Listed: its own; held: its own still, though no list names it; released: remembered from that moment on."""
    addresses = Addresses(600.0)
    roster = Roster("orders", stats=ServiceStats(), own=frozenset(), claims=addresses.of("orders"))
    for letter in "ab":
        roster.enlist(instance(letter), 1.0, shunned=False, trusted=True)
    roster.hold({at("a"): Hold(2.0, 2.0)})
    roster.strike(at("a"), 2.0)
    roster.strike(at("b"), 3.0)
    addresses.of("stock").lists(at("a"), 1.0)
    assert [(one.address, one.left_at) for one in addresses.departed()] == [(at("b"), 3.0)]
    owner = addresses.find(at("a"), 4.0, {"orders", "stock"})
    assert owner is not None
    assert owner.service == "stock", "who lists it comes before who holds it"
    roster.release(Released(endpoint(roster, "a"), End.GONE, left=0), 5.0)
    assert [(one.address, one.left_at) for one in addresses.departed()] == [(at("b"), 3.0), (at("a"), 5.0)]
