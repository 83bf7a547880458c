"""The table of rules is whole and current."""

from tests.conformance.checklist import RULES, page, shown_by
from tests.conformance.marks import ROOT


def test_every_rule_is_shown_on_the_wire() -> None:
    """H-01 to H-66, each by a test at least; no test names a rule that is none."""
    assert list(RULES) == [f"H-{number:02}" for number in range(1, 67)]
    assert shown_by().keys() == RULES.keys()


def test_the_page_is_current() -> None:
    """`python -m tests.conformance.checklist > docs/reference/http.md` changes nothing."""
    assert (ROOT / "docs/reference/http.md").read_text("utf-8") == page()
