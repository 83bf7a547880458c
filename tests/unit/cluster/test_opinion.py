"""What a second node says of those that are held."""

from sidecar.cluster.opinion import IN_VAIN, SecondOpinion, Verdict


def opinion(*offered: str) -> SecondOpinion:
    """One that has answered at 1 s that it offers these."""
    second = SecondOpinion()
    assert second.answered(frozenset(offered), 1.0)
    return second


def test_nobody_is_missed_before_it_answers() -> None:
    """Silence is no agreement."""
    assert SecondOpinion().missed("ab") == frozenset()
    assert repr(SecondOpinion()) == "<SecondOpinion unknown>"


def test_it_misses_what_it_does_not_offer() -> None:
    """Of what is asked about, the rest."""
    assert opinion("b", "z").missed("abc") == frozenset("ac")
    assert repr(opinion("b", "z")) == "<SecondOpinion 2 offered>"


def test_an_older_question_changes_nothing() -> None:
    """The answer to a question of 0.9 s comes after that to one of 1 s."""
    second = opinion("a")
    assert not second.answered(frozenset(), 0.9)
    assert second.missed("ab") == frozenset("b")


def test_to_begin_anew_forgets_what_was_said_and_what_is_under_way() -> None:
    """At 2 s the world changed: a question of then counts, one of before does not."""
    second = opinion()
    second.begin_anew(2.0)
    assert second.missed("a") == frozenset()
    assert not second.answered(frozenset(), 1.9)
    assert second.answered(frozenset(), 2.0)
    assert second.missed("a") == frozenset("a")


def test_a_verdict_is_told_when_it_changes() -> None:
    """One word for all, some, none; and again when others are meant by it."""
    second = opinion("a", "b")
    assert [second.news(held) for held in ("ac", "ac", "bc", "c", "a")] == [
        Verdict.PARTLY,
        None,
        Verdict.PARTLY,
        Verdict.AGREES,
        Verdict.DISAGREES,
    ]


def test_a_verdict_on_another_list_is_told_though_it_is_the_same() -> None:
    """It is what may end the holds of that list; whoever replays the timeline has to know that it was given."""
    second = opinion("a")
    assert second.news("a") is Verdict.DISAGREES
    second.begin_anew(2.0)
    assert second.answered(frozenset("a"), 3.0)
    assert second.news("a") is Verdict.DISAGREES


def test_a_node_that_is_asked_in_vain_is_silent_from_the_third_time_on() -> None:
    """Told once; what was asked before the list in force came does not count, and another list begins anew."""
    second = SecondOpinion()
    second.begin_anew(2.0)
    assert not second.unanswered(1.9)
    assert [second.unanswered(2.0 + n) for n in range(IN_VAIN + 1)] == [False, False, True, False]
    assert second.silent
    second.begin_anew(9.0)
    assert not second.silent


def test_a_node_that_answered_once_is_not_silent_later() -> None:
    """Its word stands for as long as the list; and one that was silent is heard when it comes."""
    second = opinion("a")
    assert not any(second.unanswered(2.0 + n) for n in range(IN_VAIN))
    assert not second.silent
    late = SecondOpinion()
    assert [late.unanswered(1.0) for _ in range(IN_VAIN)][-1]
    assert late.answered(frozenset("a"), 2.0)
    assert not late.silent
