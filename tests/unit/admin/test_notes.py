"""What is said of an endpoint's state."""

import math
from collections.abc import Callable

import pytest

from sidecar.admin.notes import NOTES, note, span
from sidecar.cluster.endpoint import State
from tests.support.clusters import Even, Stage, at, instance


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-0.2, "0.0s"),
        (0.04, "0.0s"),
        (9.94, "9.9s"),
        (9.96, "10s"),
        (59.6, "1m"),
        (61, "1m1s"),
        (600, "10m"),
        (3599.7, "1h"),
        (7500, "2h5m"),
        (100_000, "1d3h"),
    ],
)
def test_a_span_has_the_two_units_that_matter(seconds: float, shown: str) -> None:
    """Rounded, so that no part ever reads 60; what is over reads as nothing left."""
    assert span(seconds) == shown


def _ejected(stage: Stage) -> None:
    for _ in range(3):
        stage.call(503, on="a")


def _probation(stage: Stage) -> None:
    _ejected(stage)
    stage.wait(30.1, alive="ab")


def _stalled(stage: Stage) -> None:
    stage["a"].owed = 3
    for _ in range(12):
        stage["b"].heard = True
        stage.wait(0.25)


SCENES: dict[State, tuple[Callable[[Stage], object], str]] = {
    State.AVAILABLE: (lambda stage: stage.call(500, on="a"), "last failure: 500, 0.0s ago"),
    State.LEAVING: (lambda stage: stage.call(503, on="a", leaving=True), "announced its end, 10s to go"),
    State.STALLED: (_stalled, "owes 3 answers, silent for"),
    State.HELD: (lambda stage: stage.lists("b"), "not listed, not seen alive since, 10m at most to go"),
    State.EJECTED: (_ejected, "bad answers, 30s to go"),
    State.PROBATION: (_probation, "ejection served, one request at a time"),
    State.QUARANTINED: (lambda stage: stage.call("refused", on="a"), "refused for 0.0s, next dial in 0.1s"),
    State.UNHEALTHY: (
        lambda stage: stage.lists([instance("a", healthy=False), instance("b")]),
        "the registry calls it unhealthy",
    ),
    State.DISABLED: (lambda stage: stage.cluster.eject(at("a"), 300, stage.now), "by the operator, 5m to go"),
    State.DRAINING: (lambda stage: stage.lists("b"), "left the list, requests in flight finish"),
}


@pytest.mark.parametrize("state", State)
def test_every_state_has_its_words(state: State) -> None:
    """Why it is in it, and what ends it when."""
    stage = Stage(rng=Even())
    stage.lists("ab")
    if state is State.HELD:
        stage.cluster.registry_connected(stage.now)
    if state is State.DRAINING:
        stage["a"].in_flight = 1
    scene, words = SCENES[state]
    scene(stage)
    assert stage.state("a") is state
    assert note(stage.cluster, stage["a"], stage.now).startswith(words)


def test_no_state_is_forgotten() -> None:
    """Neither here nor there."""
    assert NOTES.keys() == SCENES.keys() == set(State)


def test_all_reasons_for_being_disabled_are_told() -> None:
    """The registry's and the operator's may come together."""
    stage = Stage()
    stage.lists([instance("a", weight=0.0, enabled=False), instance("b")])
    stage.cluster.eject(at("a"), 60, stage.now)
    assert note(stage.cluster, stage["a"], stage.now) == "disabled in the registry, weight 0, by the operator, 1m to go"


def test_one_that_nobody_dialled_yet_does_not_refuse() -> None:
    """It is new, that is all."""
    stage = Stage()
    stage.lists("a")
    stage.lists("ab")
    assert note(stage.cluster, stage["b"], stage.now) == "not dialled yet"


def test_a_hold_tells_what_is_doubted_and_whether_it_answers() -> None:
    """Unlisted or only called unhealthy; and no end while holds do not age."""
    stage = Stage()
    stage.lists("abc")
    stage.lists([instance("a"), instance("b", healthy=False), instance("c", healthy=False)])
    stage.probe("b")
    stage.cluster.registry_disconnected(stage.now)
    assert note(stage.cluster, stage["b"], stage.now + math.pi) == "called unhealthy, answers"
