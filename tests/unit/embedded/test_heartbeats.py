"""Beats and silence."""

from sidecar.embedded.heartbeats import Beating, Heartbeats, Verdict
from sidecar.embedded.model import ServiceName

WHO = Beating(ServiceName("orders"), "10.0.0.1", 80)


def test_silence_makes_unhealthy_once_and_then_deletes() -> None:
    """Unhealthy is told once at 15 s, deleted at 30 s, and after that nothing."""
    beats = Heartbeats()
    beats.begin(WHO, 0.0)
    assert list(beats.check(14.9)) == []
    assert list(beats.check(15.0)) == [(WHO, Verdict.UNHEALTHY)]
    assert list(beats.check(20.0)) == []
    assert list(beats.check(30.0)) == [(WHO, Verdict.DELETED)]
    assert list(beats.check(60.0)) == []


def test_a_beat_brings_an_unhealthy_one_back() -> None:
    """The first beat after an unhealthy verdict says so, the next one is ordinary."""
    beats = Heartbeats()
    beats.begin(WHO, 0.0)
    list(beats.check(16.0))
    assert beats.beat(WHO, 17.0) is Verdict.RECOVERED
    assert beats.beat(WHO, 18.0) is None
    assert list(beats.check(32.9)) == []


def test_an_unknown_one_has_to_register_again() -> None:
    """A beat of what was never registered, was deregistered or was lost in a restart is refused."""
    beats = Heartbeats()
    assert beats.beat(WHO, 0.0) is Verdict.DELETED
    beats.begin(WHO, 0.0)
    beats.end(WHO)
    assert beats.beat(WHO, 1.0) is Verdict.DELETED
    beats.begin(WHO, 2.0)
    beats.clear()
    assert beats.beat(WHO, 3.0) is Verdict.DELETED
    assert repr(beats) == "<Heartbeats 0 beating, 0 unhealthy>"
