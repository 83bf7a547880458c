"""Faults by name and JSON."""

import pytest

from sidecar.embedded import faults
from sidecar.embedded.faults import Answer, Condition, FaultError, ForcedList, Restart, Shape


def test_every_fault_is_known_by_name_and_has_help() -> None:
    """Names are snake case, every knob explains itself and works at its defaults."""
    assert {"push_timing", "black_hole", "end_streams", "restart"} <= faults.KINDS.keys()
    for name, kind in faults.KINDS.items():
        assert kind.__doc__
        assert faults.parse(name, {}) == kind()


def test_fields_are_read_by_type() -> None:
    """Integers serve as seconds, enums by their value, null where it is allowed."""
    assert faults.parse("restart", {"down_s": 1, "return_after_s": None}) == Restart(down_s=1.0, return_after_s=None)
    assert faults.parse("forced_list", {"shape": "hosts_null", "times": 2}) == ForcedList(
        shape=Shape.HOSTS_NULL, times=2
    )


@pytest.mark.parametrize(
    ("name", "body", "words"),
    [
        ("nothing", {}, "unknown fault 'nothing'"),
        ("restart", {"after": 1}, "no field after"),
        ("restart", {"down_s": None}, "None is no float"),
        ("restart", {"keep": True}, "True is no int"),
        ("forced_list", {"shape": "odd"}, "none of empty, partial"),
        ("forced_list", {"shape": []}, "none of empty, partial"),
    ],
)
def test_what_cannot_be_read_is_named(name: str, body: dict[str, object], words: str) -> None:
    """The message tells the fault, the field and what is wrong."""
    with pytest.raises(FaultError, match=words):
        faults.parse(name, body)


def test_a_description_is_read_back() -> None:
    """What GET shows can be POSTed."""
    fault = ForcedList("orders", Shape.LARGE, times=3)
    assert faults.parse("forced_list", faults.describe(fault)) == fault


def test_conditions_of_one_kind_are_told_apart_by_key() -> None:
    """Answers are keyed by request type, everything without a key by `*`."""
    assert Answer("ServiceQueryRequest").key() == "ServiceQueryRequest"
    assert Condition().key() == faults.EVERY
