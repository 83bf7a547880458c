"""Which absences are believed."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sidecar.cluster.guard import (
    IMPOSSIBLE,
    TRANSITIONS,
    Action,
    Doubt,
    End,
    Guard,
    Input,
    Offer,
    Proof,
)
from sidecar.cluster.opinion import IN_VAIN, Verdict
from sidecar.cluster.policy import OnEmpty, Protection


def offer(listed: str, in_use: str, *, off: str = "", sick: str = "", refusing: str = "") -> Offer:
    return Offer(
        listed=frozenset(listed),
        offered=frozenset(listed) - frozenset(off) - frozenset(sick),
        in_use=frozenset(in_use),
        off=frozenset(off),
        refusing=frozenset(refusing),
    )


def guard(**policy: object) -> Guard:
    return Guard(replace(Protection(), **policy), 0.0)  # type: ignore[arg-type]


def guard_beside_another(**policy: object) -> Guard:
    """One whose registry has a second node; the minute of doubt after the connect is over."""
    watcher = guard(**policy)
    watcher.connected(-60.0, second_node=True)
    return watcher


# The table


def test_every_pair_is_a_move_or_declared_impossible() -> None:
    """The table and the impossible pairs together name each (state, input) pair once."""
    assert set(itertools.product(Doubt, Input)) == TRANSITIONS.keys() | IMPOSSIBLE
    assert not TRANSITIONS.keys() & IMPOSSIBLE


LISTS = (Input.PLAUSIBLE, Input.SHRUNK, Input.EMPTY)


@pytest.mark.parametrize("doubt", Doubt)
def test_a_doubted_list_holds_and_a_plausible_one_applies(doubt: Doubt) -> None:
    """What a list does to those it misses depends on the list alone."""
    assert [TRANSITIONS[doubt, one][1] for one in LISTS] == [Action.APPLY, Action.HOLD, Action.HOLD]


def test_where_each_list_leads() -> None:
    """From trust to the doubt that it deserves, and to a stronger one; never back."""
    leads = {doubt: [TRANSITIONS[doubt, one][0] for one in LISTS] for doubt in Doubt}
    assert leads == {
        Doubt.TRUSTING: [Doubt.TRUSTING, Doubt.SHRUNK, Doubt.EMPTY],
        Doubt.SHRUNK: [Doubt.SHRUNK, Doubt.SHRUNK, Doubt.EMPTY],
        Doubt.EMPTY: [Doubt.EMPTY, Doubt.EMPTY, Doubt.EMPTY],
    }


def test_one_empty_list_rules_until_nothing_is_held() -> None:
    """No list leads from EMPTY anywhere else; only letting go does."""
    assert {TRANSITIONS[Doubt.EMPTY, one][0] for one in LISTS} == {Doubt.EMPTY}


def test_one_node_alone_confirms_a_shrink_and_never_an_empty_list() -> None:
    """Repeated for long enough, a shrink is believed and an empty list is not."""
    assert TRANSITIONS[Doubt.SHRUNK, Input.REPEATED] == (Doubt.TRUSTING, Action.LET_GO)
    assert TRANSITIONS[Doubt.EMPTY, Input.REPEATED] == (Doubt.EMPTY, Action.KEEP)


@pytest.mark.parametrize("doubt", [Doubt.SHRUNK, Doubt.EMPTY])
@pytest.mark.parametrize(
    ("happened", "action"),
    [(Input.AGREED, Action.LET_GO_AGREED), (Input.EXPIRED, Action.LET_GO_OVERDUE)],
)
def test_what_may_concern_only_some_leaves_the_doubt_as_it_is(doubt: Doubt, happened: Input, action: Action) -> None:
    """Agreement of the second node and max_hold let go of those concerned; the rest is doubted on."""
    assert TRANSITIONS[doubt, happened] == (doubt, action)


@pytest.mark.parametrize("doubt", [Doubt.SHRUNK, Doubt.EMPTY])
def test_the_operator_and_release_end_every_doubt(doubt: Doubt) -> None:
    """Obey and release lead to TRUSTING from everywhere."""
    assert TRANSITIONS[doubt, Input.OBEYED] == (Doubt.TRUSTING, Action.LET_GO)
    assert TRANSITIONS[doubt, Input.RELEASED] == (Doubt.TRUSTING, Action.KEEP)


# What a list is taken for


@pytest.mark.parametrize(
    ("what", "policy", "verdict"),
    [
        (offer("", "abc"), {}, Input.EMPTY),
        (offer("", "abc"), {"shrink_threshold": 1.0}, Input.EMPTY),
        (offer("", "abc"), {"on_empty": OnEmpty.OBEY}, Input.PLAUSIBLE),
        (offer("", ""), {}, Input.PLAUSIBLE),
        (offer("a", "abc"), {}, Input.SHRUNK),
        (offer("a", "abc"), {"shrink_threshold": 1.0}, Input.PLAUSIBLE),
        (offer("ab", "abcd"), {}, Input.PLAUSIBLE),
        (offer("wxyz", "abcd"), {}, Input.PLAUSIBLE),
        (offer("abcd", "abcd", sick="bcd"), {}, Input.SHRUNK),
        (offer("abcd", "abcd", sick="cd"), {}, Input.PLAUSIBLE),
        (offer("abcd", "abcd", off="bcd"), {}, Input.PLAUSIBLE),
        (offer("abc", "abcd", off="bc"), {}, Input.SHRUNK),
        (offer("a", "abc", refusing="bc"), {}, Input.PLAUSIBLE),
        (offer("", "abc", refusing="abc"), {}, Input.PLAUSIBLE),
        (offer("a", "abc", refusing="b"), {}, Input.SHRUNK),
    ],
    ids=[
        "empty",
        "empty, shrinks never doubted",
        "empty, obeyed",
        "empty with nothing to lose",
        "two of three missing",
        "two of three missing, shrinks never doubted",
        "half missing",
        "all exchanged",
        "three of four turned unhealthy",
        "half turned unhealthy",
        "three of four switched off: an order",
        "one missing while two are switched off",
        "the missing refuse",
        "empty, and all refuse",
        "one of the missing does not refuse",
    ],
)
def test_a_list_is_taken_for(what: Offer, policy: dict[str, object], verdict: Input) -> None:
    """Each row: a list against the addresses in use, and what the guard calls it."""
    assert guard(**policy).judge(what, 0.0)[0] is verdict


def test_anything_missing_is_doubted_for_a_minute_after_a_connect() -> None:
    """At 59.9 s one of ten missing is held, at 60 s it leaves."""
    ten = "abcdefghij"
    for seconds, held in ((59.9, {"j"}), (60.0, set())):
        watcher = guard()
        watcher.connected(0.0)
        watcher.judge(offer(ten[:-1], ten), seconds)
        assert watcher.held.keys() == held


def test_a_threshold_of_one_switches_the_minute_of_doubt_off_too() -> None:
    """With shrink_threshold 1.0 a partial list right after a connect is believed."""
    watcher = guard(shrink_threshold=1.0)
    watcher.connected(0.0)
    assert watcher.judge(offer("a", "abc"), 1.0)[0] is Input.PLAUSIBLE


def test_shrinking_step_by_step_is_measured_from_where_the_doubt_began() -> None:
    """Ten to three is doubted; four of the ten are still too few, five are enough."""
    ten = "abcdefghij"
    watcher = guard()
    watcher.judge(offer(ten[:3], ten), 0.0)
    assert watcher.judge(offer(ten[:4], ten), 1.0)[0] is Input.SHRUNK
    assert watcher.judge(offer(ten[:5], ten), 2.0)[0] is Input.PLAUSIBLE
    assert watcher.held.keys() == set(ten[5:])


# How holds end


def test_a_listed_one_is_restored() -> None:
    """Who is listed again is held no more; the last one ends the doubt."""
    watcher = guard()
    watcher.judge(offer("", "ab"), 0.0)
    assert watcher.judge(offer("a", "ab"), 1.0)[1] == {"a": End.RESTORED}
    assert repr(watcher) == "<Guard empty, 1 held>"
    assert watcher.judge(offer("ab", "ab"), 2.0)[1] == {"b": End.RESTORED}
    assert repr(watcher) == "<Guard none, 0 held>"


def test_a_refused_one_is_gone_at_once() -> None:
    """One failed connect ends a hold, and only that one."""
    watcher = guard()
    watcher.judge(offer("", "ab"), 0.0)
    assert watcher.gone("a", 0.5) == {"a": End.GONE}
    assert watcher.gone("z", 0.5) == {}
    assert watcher.held.keys() == {"b"}


def test_a_shrink_is_confirmed_by_a_second_answer_after_the_time() -> None:
    """Neither sixty seconds with one answer nor two answers before that are enough."""
    watcher = guard(confirm=60.0)
    watcher.judge(offer("a", "abc"), 0.0)
    assert watcher.tick(61.0) == {}
    watcher.same_answer()
    assert watcher.tick(61.0) == {"b": End.CONFIRMED, "c": End.CONFIRMED}


def test_two_answers_do_not_hasten_the_confirmation() -> None:
    """At 59.9 s the same word twice confirms nothing, at 60 s it does."""
    watcher = guard(confirm=60.0)
    watcher.judge(offer("a", "abc"), 0.0)
    watcher.same_answer()
    assert watcher.next_due(0.0) == 60.0
    assert watcher.tick(59.9) == {}
    assert watcher.tick(60.0)


def test_every_changed_list_starts_the_confirmation_anew() -> None:
    """A list that changed at 50 s is confirmed at 110 s, not at 60 s."""
    watcher = guard(confirm=60.0)
    watcher.judge(offer("a", "abcd"), 0.0)
    watcher.judge(offer("x", "abcd"), 50.0)
    watcher.same_answer()
    assert watcher.tick(109.9) == {}
    assert watcher.tick(110.0)


def test_an_empty_list_is_never_confirmed_by_the_node_that_sent_it() -> None:
    """However often and long it is repeated, only max_hold ends it."""
    watcher = guard(confirm=60.0, max_hold=600.0)
    watcher.judge(offer("", "ab"), 0.0)
    for _ in range(100):
        watcher.same_answer()
    assert watcher.tick(599.0) == {}
    assert watcher.next_due(599.0) == 600.0
    assert watcher.tick(600.0) == {"a": End.EXPIRED, "b": End.EXPIRED}
    assert watcher.doubt is Doubt.TRUSTING


def test_what_a_partial_list_after_an_empty_one_misses_is_never_confirmed_either() -> None:
    """After empty, then seven of ten: the three are held by the rules of the empty list."""
    ten = "abcdefghij"
    watcher = guard(confirm=60.0)
    watcher.judge(offer("", ten), 0.0)
    watcher.judge(offer(ten[:7], ten), 5.0)
    watcher.same_answer()
    assert watcher.tick(500.0) == {}
    assert watcher.held.keys() == set(ten[7:])


def test_holds_do_not_age_while_the_registry_cannot_be_asked() -> None:
    """An hour without the registry is no part of max_hold."""
    watcher = guard(max_hold=600.0)
    watcher.judge(offer("", "a"), 0.0)
    watcher.disconnected(100.0)
    assert watcher.next_due(100.0) == float("inf")
    assert watcher.until(watcher.held["a"], 100.0) is None
    assert watcher.tick(3700.0) == {}
    watcher.connected(3700.0)
    assert watcher.tick(4199.9) == {}
    assert watcher.tick(4200.0) == {"a": End.EXPIRED}


def test_the_operator_lets_go_of_everything() -> None:
    """Obey ends each hold and the doubt; without holds it is nothing."""
    watcher = guard()
    assert watcher.obey(0.0) == {}
    watcher.judge(offer("", "ab"), 0.0)
    assert watcher.obey(1.0) == {"a": End.OBEYED, "b": End.OBEYED}
    assert (watcher.doubt, watcher.since) == (Doubt.TRUSTING, None)


def test_an_obeyed_empty_list_ends_the_holds_of_an_earlier_shrink() -> None:
    """With `on_empty: obey`, nobody listed means nobody held."""
    watcher = guard(on_empty=OnEmpty.OBEY)
    watcher.judge(offer("a", "abc"), 0.0)
    verdict, ended = watcher.judge(offer("", "abc"), 1.0)
    assert verdict is Input.PLAUSIBLE
    assert ended == {"b": End.OBEYED, "c": End.OBEYED}


def test_each_hold_has_its_own_end() -> None:
    """Those held later expire later."""
    watcher = guard(max_hold=600.0)
    watcher.judge(offer("a", "abcd"), 0.0)
    watcher.judge(offer("", "abcd"), 100.0)
    assert watcher.tick(600.0).keys() == {"b", "c", "d"}
    assert watcher.tick(700.0).keys() == {"a"}


def test_since_is_when_the_doubt_began() -> None:
    """An empty list after a shrink does not move it."""
    watcher = guard()
    watcher.judge(offer("a", "abc"), 3.0)
    watcher.judge(offer("", "abc"), 5.0)
    assert watcher.since == 3.0


# The second node


@pytest.mark.parametrize("listed", ["", "a"], ids=["empty", "shrink"])
def test_what_both_nodes_miss_is_confirmed_after_the_time(listed: str) -> None:
    """An empty list and a shrink alike: at 60 s, not at 59.9 s, once the second node has answered that it misses them."""
    watcher = guard_beside_another(confirm=60.0)
    watcher.judge(offer(listed, "abc"), 0.0)
    watcher.same_answer()
    assert watcher.second_answer(frozenset(listed), 2.0) is Verdict.AGREES
    assert watcher.next_due(2.0) == 60.0
    assert watcher.tick(59.9) == {}
    assert set(watcher.tick(60.0).values()) == {End.CONFIRMED}
    assert repr(watcher) == "<Guard none, 0 held>"


@pytest.mark.parametrize("listed", ["", "a"], ids=["empty", "shrink"])
def test_what_the_second_node_still_lists_is_held_until_max_hold(listed: str) -> None:
    """Of b and c it lists c: b is confirmed, c expires."""
    watcher = guard_beside_another(confirm=60.0, max_hold=600.0)
    watcher.judge(offer(listed, "abc"), 0.0)
    watcher.same_answer()
    assert watcher.second_answer(frozenset("ac"), 2.0) is Verdict.PARTLY
    assert watcher.tick(60.0)["b"] is End.CONFIRMED
    assert "c" in watcher.held
    assert watcher.next_due(60.0) == 600.0
    assert watcher.tick(599.9) == {}
    assert watcher.tick(600.0)["c"] is End.EXPIRED


@pytest.mark.parametrize("listed", ["", "a"], ids=["empty", "shrink"])
def test_a_second_node_that_says_nothing_confirms_nothing(listed: str) -> None:
    """As long as it may speak yet: no answer is no agreement, whatever the first node repeats."""
    watcher = guard_beside_another(confirm=60.0, max_hold=600.0)
    watcher.judge(offer(listed, "abc"), 0.0)
    for _ in range(100):
        watcher.same_answer()
    assert watcher.next_due(0.0) == 600.0
    assert watcher.tick(599.9) == {}


@pytest.mark.parametrize(
    ("listed", "ended"), [("a", {"b": End.CONFIRMED, "c": End.CONFIRMED}), ("", {})], ids=["shrink", "empty"]
)
def test_a_second_node_that_is_asked_in_vain_is_none(listed: str, ended: dict[str, End]) -> None:
    """A shrink is believed on one node's word then, after the same time; an empty list never is."""
    watcher = guard_beside_another(confirm=60.0)
    watcher.judge(offer(listed, "abc"), 0.0)
    watcher.same_answer()
    assert [watcher.second_silent(float(asked_at)) for asked_at in (2, 4, 6)] == [False, False, True]
    assert watcher.tick(59.9) == {}
    assert watcher.tick(60.0) == ended


def test_a_second_node_that_speaks_after_all_is_heeded() -> None:
    """What it lists stays held; a list that changes needs its word anew, and so it is asked in vain anew."""
    watcher = guard_beside_another(confirm=60.0)
    watcher.judge(offer("a", "abc"), 0.0)
    watcher.same_answer()
    for _ in range(IN_VAIN):
        watcher.second_silent(5.0)
    watcher.second_answer(frozenset("abc"), 50.0)
    assert watcher.tick(60.0) == {}
    watcher.judge(offer("ad", "abc"), 70.0)
    watcher.same_answer()
    assert watcher.tick(130.0) == {}
    for _ in range(IN_VAIN):
        watcher.second_silent(131.0)
    assert watcher.tick(131.0) == {"b": End.CONFIRMED, "c": End.CONFIRMED}


def test_without_leave_to_ask_a_second_node_it_is_as_if_there_were_none() -> None:
    """`second_opinion: false`: a shrink needs one node, and an answer that comes all the same is no news."""
    watcher = guard_beside_another(confirm=60.0, second_opinion=False)
    watcher.judge(offer("a", "abc"), 0.0)
    watcher.same_answer()
    assert watcher.second_answer(frozenset("abc"), 2.0) is None
    assert watcher.tick(60.0) == {"b": End.CONFIRMED, "c": End.CONFIRMED}


def test_the_newest_answer_of_the_second_node_counts() -> None:
    """It missed them for a while and lists them again at the moment of confirmation; then it misses them for good."""
    watcher = guard_beside_another(confirm=60.0)
    watcher.judge(offer("", "ab"), 0.0)
    watcher.same_answer()
    watcher.second_answer(frozenset(), 2.0)
    assert watcher.second_answer(frozenset("ab"), 59.0) is Verdict.DISAGREES
    assert watcher.tick(60.0) == {}
    assert watcher.second_answer(frozenset(), 70.0) is Verdict.AGREES
    assert watcher.next_due(70.5) == 70.5
    assert watcher.tick(70.5) == {"a": End.CONFIRMED, "b": End.CONFIRMED}


def test_an_answer_to_an_older_question_is_not_newer() -> None:
    """Answers may overtake one another; the order of the questions counts."""
    watcher = guard_beside_another(confirm=60.0)
    watcher.judge(offer("", "ab"), 0.0)
    watcher.same_answer()
    watcher.second_answer(frozenset("ab"), 5.0)
    assert watcher.second_answer(frozenset(), 4.0) is None
    assert watcher.tick(60.0) == {}


def test_a_changed_list_makes_every_earlier_question_void() -> None:
    """What was answered before, or asked before and answered after, is nothing; the next question counts."""
    watcher = guard_beside_another(confirm=60.0)
    watcher.judge(offer("", "ab"), 0.0)
    watcher.second_answer(frozenset(), 2.0)
    watcher.judge(offer("x", "ab"), 10.0)
    watcher.same_answer()
    assert watcher.second_answer(frozenset("x"), 9.9) is None
    assert watcher.tick(70.0) == {}
    watcher.second_answer(frozenset("x"), 10.0)
    assert watcher.tick(70.0) == {"a": End.CONFIRMED, "b": End.CONFIRMED}


def test_another_session_makes_every_earlier_question_void() -> None:
    """The second node of yesterday may be the one that we hear now: nobody agrees with himself."""
    watcher = guard_beside_another(confirm=60.0)
    watcher.judge(offer("", "ab"), 0.0)
    watcher.second_answer(frozenset(), 2.0)
    watcher.disconnected(3.0)
    watcher.connected(4.0, second_node=True)
    watcher.same_answer()
    assert watcher.second_answer(frozenset(), 3.9) is None
    assert watcher.tick(61.0) == {}
    watcher.second_answer(frozenset(), 61.0)
    assert watcher.tick(61.0) == {"a": End.CONFIRMED, "b": End.CONFIRMED}


def test_nothing_is_confirmed_while_the_registry_is_away() -> None:
    """Confirmed by both but for the time, then a minute without the registry: that minute does not count."""
    watcher = guard_beside_another(confirm=60.0)
    watcher.judge(offer("", "ab"), 0.0)
    watcher.same_answer()
    watcher.disconnected(60.0)
    watcher.second_answer(frozenset(), 61.0)
    assert watcher.next_due(61.0) == float("inf")
    assert watcher.tick(120.0) == {}


def test_a_single_node_that_gains_another_asks_it_too() -> None:
    """A reload adds a server: what was a matter of time needs the second node from then on."""
    watcher = guard(confirm=60.0)
    watcher.judge(offer("a", "abc"), 0.0)
    watcher.same_answer()
    watcher.connected(30.0, second_node=True)
    assert watcher.tick(61.0) == {}


def test_a_verdict_is_news_once_in_a_doubt() -> None:
    """Repeated it is none, changed it is; the next doubt begins anew."""
    watcher = guard_beside_another()
    for began in (0.0, 100.0):
        watcher.judge(offer("", "ab"), began)
        told = [
            watcher.second_answer(frozenset(offered), began + at)
            for at, offered in enumerate(["ab", "ab", "b", "a", "", "", "ab"])
        ]
        assert told == [
            Verdict.DISAGREES,
            None,
            Verdict.PARTLY,
            Verdict.PARTLY,
            Verdict.AGREES,
            None,
            Verdict.DISAGREES,
        ]
        watcher.judge(offer("ab", "ab"), began + 50)


def test_where_nothing_is_held_an_answer_is_nothing() -> None:
    """It came too late: the doubt is over."""
    watcher = guard_beside_another()
    watcher.judge(offer("ab", "ab"), 0.0)
    assert watcher.second_answer(frozenset(), 1.0) is None


def test_whom_both_nodes_miss_tells_the_second_one() -> None:
    """Of three held it lists one."""
    watcher = guard_beside_another()
    watcher.judge(offer("", "abc"), 0.0)
    assert watcher.missed_twice() == frozenset()
    watcher.second_answer(frozenset("b"), 1.0)
    assert watcher.missed_twice() == frozenset("ac")


# Disabled or gone


def test_one_that_is_switched_off_leaves_at_once() -> None:
    """The list for administrators shows it: no absence, an order; whom it does not concern stays held."""
    watcher = guard()
    watcher.judge(offer("", "ab"), 0.0)
    assert watcher.switched_off(frozenset("az"), 0.1, 0.2) == {"a": End.CONFIRMED}
    assert watcher.held.keys() == {"b"}
    assert watcher.switched_off(frozenset("b"), 0.1, 0.2) == {"b": End.CONFIRMED}
    assert repr(watcher) == "<Guard none, 0 held>"


def test_one_that_is_switched_off_leaves_in_spite_of_an_order_to_hold() -> None:
    """As with weight 0 on a list: it is no removal."""
    watcher = guard()
    watcher.order(until=100.0)
    watcher.judge(offer("", "a"), 0.0)
    assert watcher.switched_off(frozenset("a"), 1.0, 1.0) == {"a": End.CONFIRMED}


def test_that_one_was_switched_off_before_the_list_came_is_nothing() -> None:
    """It may have been switched on since, and have been on the list that we used."""
    watcher = guard()
    watcher.judge(offer("", "a"), 10.0)
    assert watcher.switched_off(frozenset("a"), 9.9, 10.1) == {}
    assert watcher.held.keys() == {"a"}


# The operator's order


def test_by_order_whatever_a_list_loses_is_held() -> None:
    """One of ten missing, an unhealthy one and even one that refuses: each would have left without the order."""
    for what in (offer("abcdefghi", "abcdefghij"), offer("ab", "ab", sick="b"), offer("a", "ab", refusing="b")):
        watcher = guard()
        assert watcher.judge(what, 0.0)[0] is Input.PLAUSIBLE
        watcher.order(until=10.0)
        assert watcher.judge(what, 0.0)[0] is Input.SHRUNK
        assert watcher.held.keys() == what.lost


def test_what_is_switched_off_leaves_in_spite_of_an_order() -> None:
    """Weight 0 is no removal."""
    watcher = guard()
    watcher.order(until=10.0)
    assert watcher.judge(offer("ab", "ab", off="b"), 0.0)[0] is Input.PLAUSIBLE


def test_nothing_but_a_list_ends_a_hold_while_the_order_stands() -> None:
    """Neither a refused connect, nor confirmation, nor max_hold; being listed does."""
    watcher = guard(confirm=5.0, max_hold=20.0)
    watcher.judge(offer("a", "abc"), 0.0)
    watcher.same_answer()
    watcher.order(until=100.0)
    assert watcher.gone("b", 1.0) == {}
    assert watcher.tick(99.9) == {}
    assert watcher.next_due(50.0) == 100.0
    assert watcher.until(watcher.held["b"], 50.0) == 100.0
    assert watcher.judge(offer("ac", "abc"), 99.9)[1] == {"c": End.RESTORED}


def test_after_the_order_each_hold_ends_as_it_would_have() -> None:
    """Who refused is gone at once; who did not is confirmed or expires, counted from when it was held."""
    watcher = guard(confirm=60.0, max_hold=600.0)
    watcher.order(until=30.0)
    watcher.judge(offer("a", "abc", refusing="b"), 0.0)
    watcher.same_answer()
    assert repr(watcher.held["b"]) == "<Hold refused>"
    assert watcher.tick(30.0) == {"b": End.GONE}
    assert watcher.tick(59.9) == {}
    assert watcher.tick(60.0) == {"c": End.CONFIRMED}


def test_one_that_was_seen_again_is_not_gone_when_the_order_ends() -> None:
    """The latest connect counts."""
    watcher = guard()
    watcher.order(until=30.0)
    watcher.judge(offer("a", "ab"), 0.0)
    watcher.gone("b", 1.0)
    assert watcher.held["b"].seen(Proof.PROBE)
    assert not watcher.held["b"].seen(Proof.ANSWER), "it was known"
    assert watcher.tick(30.0) == {}


def test_the_end_of_an_order_is_not_missed_while_the_registry_is_away() -> None:
    """Who refused is gone then, whether holds age or not."""
    watcher = guard()
    watcher.order(until=30.0)
    watcher.judge(offer("", "a"), 0.0)
    watcher.gone("a", 1.0)
    watcher.disconnected(2.0)
    assert watcher.next_due(2.0) == 30.0
    assert watcher.tick(30.0) == {"a": End.GONE}


def test_a_later_order_replaces_an_earlier_one_and_obeying_ends_it() -> None:
    """The operator's last word counts, a shorter one too."""
    watcher = guard(shrink_threshold=1.0)
    watcher.order(until=100.0)
    watcher.order(until=10.0)
    assert watcher.judge(offer("a", "ab"), 10.0)[0] is Input.PLAUSIBLE
    watcher.order(until=100.0)
    watcher.obey(11.0)
    assert watcher.judge(offer("a", "ab"), 12.0)[0] is Input.PLAUSIBLE


def test_an_empty_list_that_would_be_obeyed_is_confirmed_after_an_order() -> None:
    """With `on_empty: obey` the order delays what the list says, no more."""
    watcher = guard(on_empty=OnEmpty.OBEY, confirm=5.0)
    watcher.order(until=30.0)
    assert watcher.judge(offer("", "ab"), 0.0)[0] is Input.SHRUNK
    watcher.same_answer()
    assert watcher.tick(30.0) == {"a": End.CONFIRMED, "b": End.CONFIRMED}


# Whatever Nacos says

ADDRESSES = "abcdefgh"


class GuardMachine(RuleBasedStateMachine):
    """Whatever Nacos pushes: nothing is held for ever, nothing that refused is kept, nobody listed is held.

    Nothing is confirmed that the second node, where there is one, lists by its newest answer, nor before it answered or
    was asked in vain.
    Unless the operator says so: then nothing at all leaves but what is switched off.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.policy = Protection(confirm=20.0, max_hold=100.0)
        self.guard = Guard(self.policy, self.now)
        self.listed: frozenset[str] = frozenset()
        self.in_use: frozenset[str] = frozenset()
        self.connected_seconds: dict[str, float] = {}
        self.connected = True
        self.ordered_until = 0.0
        self.second_node = False
        self.elsewhere: frozenset[str] | None = None
        self.in_vain = 0
        self.counts_from = -1.0

    @property
    def ordered(self) -> bool:
        return self.now < self.ordered_until

    @rule(listed=st.frozensets(st.sampled_from(ADDRESSES)), sick=st.frozensets(st.sampled_from(ADDRESSES)))
    def push(self, listed: frozenset[str], sick: frozenset[str]) -> None:
        offered = listed - sick or listed
        if listed == self.listed:
            self.guard.same_answer()
            return
        before = self.guard.held.keys() | set()
        self.elsewhere, self.in_vain, self.counts_from = None, 0, self.now
        _, ended = self.guard.judge(Offer(listed=listed, offered=offered, in_use=self.in_use), self.now)
        assert not ended.keys() & self.guard.held.keys()
        for address in self.guard.held.keys() - before:
            self.connected_seconds[address] = 0.0
        lost, self.listed, self.in_use = self.in_use - offered, listed, offered | self.guard.held.keys()
        assert not self.ordered or lost <= self.guard.held.keys()

    @rule(address=st.sampled_from(ADDRESSES))
    def refuse(self, address: str) -> None:
        leaves = address in self.guard.held and not self.ordered
        assert self.guard.gone(address, self.now) == ({address: End.GONE} if leaves else {})
        if leaves:
            self.in_use -= {address}
        assert address not in self.guard.held or self.ordered

    @rule(seconds=st.floats(0.1, 60))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        for address in self.guard.held:
            self.connected_seconds[address] += seconds if self.connected else 0.0
        doubt, ended = self.guard.doubt, self.guard.tick(self.now)
        assert not (ended and self.ordered)
        confirmed = {address for address, end in ended.items() if end is End.CONFIRMED}
        assert not confirmed or self.connected
        alone = not self.second_node or (self.elsewhere is None and self.in_vain >= IN_VAIN)
        assert not confirmed or alone or (self.elsewhere is not None and not confirmed & self.elsewhere)
        assert not (confirmed and alone) or doubt is Doubt.SHRUNK
        self.in_use -= ended.keys() - self.listed

    @rule(second_node=st.booleans())
    def connect(self, *, second_node: bool) -> None:
        self.guard.connected(self.now, second_node=second_node)
        self.connected, self.second_node = True, second_node
        self.elsewhere, self.in_vain, self.counts_from = None, 0, self.now

    @rule(times=st.integers(1, IN_VAIN))
    def ask_in_vain(self, times: int) -> None:
        for _ in range(times):
            self.in_vain += bool(self.guard.held)
            self.guard.second_silent(self.now)

    @rule(offered=st.frozensets(st.sampled_from(ADDRESSES)), age=st.floats(0, 30))
    def second_answer(self, offered: frozenset[str], age: float) -> None:
        asked_at = self.now - age
        if self.guard.held and self.second_node and asked_at >= self.counts_from:
            self.elsewhere, self.counts_from = offered, asked_at
        self.guard.second_answer(offered, asked_at)
        assert self.guard.missed_twice() == (
            self.guard.held.keys() - self.elsewhere if self.elsewhere is not None else set()
        )

    @rule(addresses=st.frozensets(st.sampled_from(ADDRESSES)))
    def switch_off(self, addresses: frozenset[str]) -> None:
        held = self.guard.held.keys() & addresses
        assert self.guard.switched_off(addresses, self.now, self.now) == dict.fromkeys(held, End.CONFIRMED)
        self.in_use -= held

    @rule()
    def disconnect(self) -> None:
        self.guard.disconnected(self.now)
        self.connected = False

    @rule(seconds=st.floats(0.1, 200))
    def order(self, seconds: float) -> None:
        self.ordered_until = self.now + seconds
        self.guard.order(self.ordered_until)

    @precondition(lambda self: self.guard.held)
    @rule()
    def obey(self) -> None:
        self.ordered_until = 0.0
        self.guard.obey(self.now)
        self.in_use &= self.listed
        assert not self.guard.held

    @invariant()
    def nothing_is_held_for_ever(self) -> None:
        for address in self.guard.held if not self.ordered else ():
            assert self.connected_seconds[address] < self.policy.max_hold + 1e-6

    @invariant()
    def doubt_and_holds_come_and_go_together(self) -> None:
        assert (self.guard.doubt is not Doubt.TRUSTING) == bool(self.guard.held) == (self.guard.since is not None)

    @invariant()
    def only_what_was_in_use_is_held(self) -> None:
        assert self.guard.held.keys() <= self.in_use

    @invariant()
    def the_next_due_time_is_not_missed(self) -> None:
        if self.guard.held and self.connected:
            latest = max(self.now + self.policy.max_hold, self.ordered_until)
            assert self.now <= self.guard.next_due(self.now) <= latest


GuardMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestGuardMachine = GuardMachine.TestCase
