"""Where findings stand."""

from sidecar.config.locate import Locator, Origin
from sidecar.config.report import Finding, Loc
from sidecar.config.source import parse

TEXT = """\
listen: 127.0.0.1:1
defaults:
  retry: {num_retries: 3}
services:
  - name: a
    hosts: ["${A}"]
"""


def locator(origins: dict[Loc, Origin] | None = None) -> Locator:
    return Locator("f.yaml", parse(TEXT, {"A": "x"}), origins or {})


def place(finding: Finding) -> str:
    return str(locator().problem(finding))


def test_a_merged_value_is_reported_among_the_defaults() -> None:
    """With the path that it has there."""
    assert place(Finding(("services", 0, "retry", "num_retries"), "m")) == "f.yaml:3:24: defaults.retry.num_retries: m"


def test_a_value_left_to_its_default_is_reported_at_a_related_key() -> None:
    """And, without any, at the mapping that it would stand in."""
    absent: Loc = ("services", 0, "listen")
    assert place(Finding(absent, "m", related=(("services", 0, "hosts"),))) == "f.yaml:6:12: services[0].hosts: m"
    assert place(Finding(absent, "m")) == "f.yaml:5:5: services[0].listen: m"


def test_an_overridden_value_is_reported_under_what_overrode_it() -> None:
    """Wherever the file may have the key too."""
    found = locator({("listen",): Origin("env", "X")}).problem(Finding(("listen", 0), "m"))
    assert str(found) == "env:X: m"


def test_a_value_from_a_variable_is_not_in_clear() -> None:
    """Neither one put in nor one that overrides."""
    assert locator().is_in_clear(("listen",))
    assert not locator().is_in_clear(("services", 0, "hosts", 0))
    assert not locator({("listen",): Origin("env", "X")}).is_in_clear(("listen",))


def test_a_reader_meets_defaults_first_and_overrides_last() -> None:
    """The order that tells which of two is the later one."""
    assert locator().order(("admin", "listen")) < locator().order(("listen",)) < locator().order(("services",))
    assert locator({("listen",): Origin("env", "X")}).order(("listen",)) > locator().order(("services",))
