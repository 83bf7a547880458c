"""The page on the client library is whole and current."""

from tests.conformance.client_library import (
    DEFECTS,
    FACTS,
    LAYERS,
    SCENARIOS,
    defects,
    facts,
    page,
    reproductions,
    scenarios,
)
from tests.conformance.marks import ROOT

NOT_SEEN = {23}
"""Defects that others told of and that do not show with today's gRPC."""


def test_every_defect_is_shown_hidden_by_a_test_of_its_name() -> None:
    """1 to 27, and each by one at least whose name has the number."""
    assert list(DEFECTS) == list(range(1, 28))
    shown = defects()
    assert shown.keys() == DEFECTS.keys()
    named = {number for number, tests in shown.items() if any(f"_{number:02}_" in test for test in tests)}
    assert named == DEFECTS.keys()


def test_every_defect_is_shown_in_the_library_itself() -> None:
    """All but those that nobody could bring about."""
    assert reproductions().keys() == DEFECTS.keys() - NOT_SEEN


def test_every_defect_names_a_layer_that_is_explained() -> None:
    """So that whoever takes the library's part back knows where."""
    assert {layer for one in DEFECTS.values() for layer in one.layer.split(", ")} <= LAYERS.keys()


def test_every_fact_is_held_against_a_server_by_a_test_of_its_name() -> None:
    """R-1 to R-13; no test names a fact that is none."""
    assert list(FACTS) == [f"R-{number}" for number in range(1, 14)]
    held = facts()
    assert held.keys() == FACTS.keys()
    named = {name for name, tests in held.items() if any(f"_{int(name[2:]):02}_" in test for test in tests)}
    assert named == FACTS.keys()


def test_every_scenario_is_played() -> None:
    """S-01 to S-30; no test names a scenario that is none."""
    assert list(SCENARIOS) == [f"S-{number:02}" for number in range(1, 31)]
    assert scenarios().keys() == SCENARIOS.keys()


def test_the_page_is_current() -> None:
    """`python -m tests.conformance.client_library > docs/reference/client-library.md` changes nothing."""
    assert (ROOT / "docs/reference/client-library.md").read_text("utf-8") == page()
