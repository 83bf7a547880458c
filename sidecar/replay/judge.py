"""One service under another configuration: replayed, and compared as far as the timeline goes.

Left out of the comparison is what rests on what the timeline does not have: addresses and holds of a time before its
beginning, and kinds of which more happened in a minute than it keeps.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sidecar.cluster.policy import ServicePolicy
from sidecar.replay.compare import Comparison, compare
from sidecar.replay.decision import Decision
from sidecar.replay.run import Outcome, replay
from sidecar.replay.story import Story
from sidecar.telemetry.worth import window_of


@dataclass(frozen=True, slots=True)
class Replayed:
    """What was told of a service, what came of it, and how both differ. `left_out`: recorded decisions not compared."""

    story: Story
    outcome: Outcome
    comparison: Comparison
    left_out: int


def judge(story: Story, policy: ServicePolicy, *, own_addresses: frozenset[str], tolerance: float) -> Replayed:
    """Replays a story under this policy; decisions up to `tolerance` seconds apart are the same."""
    outcome = replay(story, policy, own_addresses=own_addresses)
    recorded = [one for one in story.decisions if one.at > story.begins]
    lost = frozenset(_lost_moments(recorded, outcome.listed)) if story.begins > -math.inf else frozenset[float]()
    then, now = (
        [
            one
            for one in side
            if one.at > story.begins and one.at not in lost and _is_told_in_full(one, story, tolerance)
        ]
        for side in (recorded, outcome.decisions)
    )
    return Replayed(story, outcome, compare(then, now, ends=story.ends, tolerance=tolerance), len(recorded) - len(then))


def _lost_moments(recorded: Sequence[Decision], listed: frozenset[str]) -> Iterator[float]:
    """When decisions were taken about addresses that no list has named since the beginning, or about older holds."""
    doubted = False
    for one in recorded:
        doubted = doubted or one.kind == "push_refused"
        of_an_older_hold = one.kind in {"hold_ended", "ghost"} and not doubted
        if of_an_older_hold or (one.endpoint is not None and one.endpoint not in listed):
            yield one.at


def _is_told_in_full(one: Decision, story: Story, tolerance: float) -> bool:
    """Nobody knows since when those refuse that did at the beginning, nor whom a crowded minute left no room for."""
    if one.kind == "zombie" and one.endpoint in story.carried:
        return False
    minutes = {window_of(one.at - tolerance), window_of(one.at), window_of(one.at + tolerance)}
    return one.endpoint is None or not any((minute, one.kind) in story.crowded for minute in minutes)
