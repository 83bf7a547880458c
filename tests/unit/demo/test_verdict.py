"""Counts in, lines out: what proves something, and what speaks against it."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.demo.verdict import RESCUES, Tally, Verdict, aligned, quantile, repeated


def direct(calls: int = 1500, failed: int = 37) -> Tally:
    return Tally("direct", offered=1500, calls=calls, failed=failed)


def through(calls: int = 1500, failed: int = 0, duplicated: int = 0) -> Tally:
    return Tally("sidecar", offered=1500, calls=calls, failed=failed, duplicated=duplicated)


PROOF = Verdict(direct(), through(), {"retry": 3, "guard": 38})


class TestObjections:
    def test_a_clean_run_with_something_at_stake_proves_it(self) -> None:
        """No failure, no repetition, losses on the other side, rescues, and all calls sent: nothing to object."""
        assert PROOF.objections == ()

    @pytest.mark.parametrize(
        ("verdict", "objection"),
        [
            (replace(PROOF, sidecar=through(failed=1)), "1 calls through the sidecar failed"),
            (replace(PROOF, sidecar=through(duplicated=2)), "2 calls through the sidecar were executed twice"),
            (replace(PROOF, direct=direct(failed=0)), "the direct caller lost nothing, so nothing was at stake"),
            (replace(PROOF, rescued={}), "no call needed rescue, so nothing was shown"),
            (replace(PROOF, sidecar=through(calls=1424)), "sidecar: only 1424 of 1500 calls were sent"),
            (replace(PROOF, direct=direct(calls=1424)), "direct: only 1424 of 1500 calls were sent"),
        ],
    )
    def test_each_flaw_is_one_objection(self, verdict: Verdict, objection: str) -> None:
        """The flaw is named with its number, and nothing else is blamed."""
        (told,) = verdict.objections
        assert told.startswith(objection)

    def test_95_percent_of_the_rate_are_enough(self) -> None:
        """The bound itself passes on both sides."""
        assert replace(PROOF, direct=direct(calls=1425), sidecar=through(calls=1425)).objections == ()

    def test_a_run_without_calls_proves_nothing(self) -> None:
        """Two empty sheets are refused on every ground that needs a call."""
        assert len(Verdict(Tally("direct"), Tally("sidecar"), {}).objections) == 4

    @given(
        st.builds(Tally, st.just("direct"), st.just(100), st.integers(90, 100), st.integers(0, 3)),
        st.builds(Tally, st.just("sidecar"), st.just(100), st.integers(90, 100), st.integers(0, 2), st.integers(0, 2)),
        st.dictionaries(st.sampled_from(RESCUES), st.integers(0, 2)),
    )
    def test_proven_means_all_five_conditions(self, direct: Tally, sidecar: Tally, rescued: dict[str, int]) -> None:
        """There is no objection exactly when the contract's five conditions hold."""
        proven = (
            sidecar.failed == 0
            and sidecar.duplicated == 0
            and direct.failed >= 1
            and sum(rescued.values()) >= 1
            and min(direct.calls, sidecar.calls) >= 95
        )
        assert (not Verdict(direct, sidecar, rescued).objections) == proven


class TestWords:
    def test_the_last_line_is_the_contracts(self) -> None:
        """Letter by letter, with the sum of all rescues."""
        assert PROOF.as_text().endswith(
            "\ndirect: 1500 calls, 37 failed; sidecar: 1500 calls, 0 failed, 0 duplicated, 41 rescued\n"
        )

    def test_objections_stand_above_the_last_line(self) -> None:
        """A reader sees why before the counts."""
        lines = replace(PROOF, rescued={}).as_text().splitlines()
        assert lines[-2] == "not proven: no call needed rescue, so nothing was shown"

    def test_the_table_shows_both_callers(self) -> None:
        """Calls, losses by reason, repetitions and latencies of the answered ones, in milliseconds."""
        tally = Tally("direct", offered=4)
        for seconds in (0.001, 0.002, 0.003):
            tally.succeed(seconds)
        tally.fail("refused")
        table = Verdict(tally, Tally("sidecar"), {"guard": 2, "retry": 1}).as_text().splitlines()
        assert table[0].split() == ["caller", "calls", "failed", "twice", "p50", "p99", "max", "lost", "to"]
        assert table[1].split(maxsplit=4) == ["direct", "4", "1", "0", "2.0 ms  3.0 ms  3.0 ms  refused 1"]
        assert table[2].split() == ["sidecar", "0", "0", "0", "-", "-", "-", "-"]
        assert table[3] == "rescued by the sidecar: retry 1, guard 2"

    def test_nothing_rescued_is_said(self) -> None:
        """No way of rescue leaves no hole."""
        assert "rescued by the sidecar: none\n" in replace(PROOF, rescued={"retry": 0}).as_text()

    def test_json_has_the_contracts_keys(self) -> None:
        """Every way of rescue is there, those that saved nobody with 0."""
        assert PROOF.as_json() == {
            "direct": {"calls": 1500, "failed": 37},
            "sidecar": {
                "calls": 1500,
                "failed": 0,
                "duplicated": 0,
                "rescued": {"retry": 3, "wait": 0, "guard": 38, "proof": 0, "address": 0},
            },
        }

    def test_columns_stand_under_each_other(self) -> None:
        """Each cell is as wide as its column's widest, without blanks at the end."""
        assert aligned([("a", "long", "c"), ("wide", "b", "")]) == "a     long  c\nwide  b"


class TestTally:
    def test_every_call_is_counted_once(self) -> None:
        """Answered and lost ones add up to the calls; only answered ones have a latency."""
        tally = Tally("direct")
        tally.succeed(0.5)
        tally.fail("refused")
        tally.fail("refused")
        assert (tally.calls, tally.failed, tally.latencies) == (3, 2, [0.5])
        assert tally.failures == {"refused": 2}


@given(st.lists(st.sampled_from(["s-1", "s-2", "s-3", "d-1", "d-2"])))
def test_an_id_is_repeated_however_often_it_was(executed: list[str]) -> None:
    """An id executed three times is one repeated id, and the other caller's ids do not count."""
    times = Counter(executed)
    assert repeated(executed, "s-") == len([one for one in times if one.startswith("s-") and times[one] > 1])


@given(st.lists(st.floats(0, 10), min_size=1), st.integers(1, 100))
def test_a_quantile_is_the_smallest_value_that_covers_the_share(values: list[float], percent: int) -> None:
    """It is one of the values; at least the share is at or below it, and less than the share is below it."""
    found = quantile(values, percent)
    assert found in values
    assert 100 * sum(value <= found for value in values) >= percent * len(values)
    assert 100 * sum(value < found for value in values) < percent * len(values)


def test_without_values_there_is_no_quantile() -> None:
    """Nothing answered has no median."""
    assert quantile([], 50) is None
