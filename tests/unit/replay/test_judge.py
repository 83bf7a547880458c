"""One service under another configuration, as far as its timeline goes."""

import random
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from sidecar.cluster.instance import Instance, Via, View
from sidecar.cluster.opinion import IN_VAIN
from sidecar.cluster.policy import OnEmpty, Protection, ServicePolicy
from sidecar.replay.compare import TOLERANCE
from sidecar.replay.judge import Replayed, judge
from sidecar.replay.story import story
from sidecar.telemetry.worth import IN_A_WINDOW
from tests.support.clusters import QUIET, at, instance
from tests.support.recording import Recording

LETTERS = "abcdef"
BELIEVING = Protection(on_empty=OnEmpty.OBEY, shrink_threshold=1.0)


def judged(recording: Recording, policy: ServicePolicy | None = None) -> Replayed:
    found = story(recording.saved(), "orders")
    assert found is not None
    return judge(found, policy or recording.policy, own_addresses=frozenset(), tolerance=TOLERANCE)


def kinds(found: Replayed) -> list[tuple[list[str], list[str]]]:
    return [
        ([one.kind for one in each.recorded], [one.kind for one in each.now]) for each in found.comparison.differences
    ]


class Chaos:
    """One step of whatever may happen to a service, drawn at random."""

    def __init__(self, seed: int, protection: Protection) -> None:
        self._rng = random.Random(seed)
        self.recording = Recording(rng=random.Random(seed), protection=protection)
        self._alive = self._listed = "abc"
        self._connected = False
        self._list("abc")

    def step(self) -> None:
        """Something happens, then some time passes."""
        rng, recording, cluster = self._rng, self.recording, self.recording.cluster
        letter = rng.choice(LETTERS)
        known = at(letter) in cluster.endpoints
        match rng.randrange(12):
            case 0 | 1 | 2:
                self._list("".join(one for one in LETTERS if rng.random() < 0.5))
            case 3:
                self._list("")
            case 4:
                recording.lists(self._instances(), via=Via.QUERY)
            case 5:
                self._alive = "".join(one for one in LETTERS if rng.random() < 0.7)
            case 6 if known and letter not in self._alive and recording[letter].state.value in {"available", "held"}:
                recording.call("refused", on=letter)
            case 7:
                self._change_session()
            case 8:
                order = cluster.obey(recording.now) if rng.random() < 0.5 else cluster.hold(20.0, recording.now)
                recording.tell(order)
            case 9 if known:
                recording.tell(cluster.eject(at(letter), 7.0, recording.now))
            case 10:
                self._ask_another_node()
            case 11:
                recording.off(letter)
        recording.wait(rng.choice([0.1, 0.3, 2.0, 15.0, 70.0]), alive=self._alive)

    def _ask_another_node(self) -> None:
        if self._rng.random() < 0.3:
            for _ in range(IN_VAIN):
                self.recording.asks_in_vain()
        else:
            self.recording.hears(View.OFFERED, "".join(one for one in LETTERS if self._rng.random() < 0.4))

    def _list(self, letters: str) -> None:
        self._listed = letters
        self._sick = "".join(one for one in letters if self._rng.random() < 0.2)
        self.recording.lists(self._instances())

    def _instances(self) -> list[Instance]:
        return [instance(one, healthy=one not in self._sick) for one in self._listed]

    def _change_session(self) -> None:
        if self._connected:
            self.recording.disconnect()
        else:
            self.recording.connect(second_node=self._rng.random() < 0.5)
        self._connected = not self._connected


@given(
    seed=st.integers(0, 10**9),
    steps=st.integers(1, 15),
    confirm=st.sampled_from([5.0, 60.0]),
    max_hold=st.sampled_from([60.0, 600.0]),
)
def test_under_the_configuration_it_was_recorded_with_nothing_differs(
    seed: int, steps: int, confirm: float, max_hold: float
) -> None:
    """Lists, health bits, sessions, refusals, other nodes, orders and time, in any order: every decision is taken again."""
    chaos = Chaos(seed, Protection(confirm=confirm, max_hold=max_hold))
    for _ in range(steps):
        chaos.step()
    found = judged(chaos.recording)
    assert found.comparison.differences == ()
    assert found.left_out == 0
    assert found.comparison.same == found.comparison.recorded > 0


def test_another_configuration_decides_otherwise() -> None:
    """An empty list that was doubted is believed, and what came back is new again."""
    recording = Recording()
    recording.lists("abc")
    recording.wait(2, alive="abc")
    recording.lists("")
    recording.wait(5, alive="abc")
    recording.lists("abc")
    recording.wait(5, alive="abc")
    found = judged(recording, replace(recording.policy, protection=BELIEVING))
    assert kinds(found) == [
        (["push_refused", *["ghost"] * 3], [*["endpoint_removed"] * 3, "snapshot_applied"]),
        (["hold_ended"] * 3, [*["endpoint_added"] * 3, "snapshot_applied"]),
    ]
    assert found.comparison.same == 4


def test_the_base_itself_is_not_compared() -> None:
    """The ring has lost the first list: everyone on the next one is new to the replay, and was not to the recording."""
    recording = Recording(size=12, protection=QUIET)
    for listed in ("ab", "abc", "abcd", "abcde"):
        recording.lists(listed)
        recording.wait(1.0, alive="abcde")
    assert recording.events_saved()[0]["seq"] > 1
    found = judged(recording)
    assert found.comparison.differences == ()
    assert (found.story.begins, found.comparison.same) == (101.0, 4)


def test_holds_that_began_before_the_beginning_are_left_out() -> None:
    """They end in the recording, the replay knows nothing of them: what is decided then is compared on neither side."""
    recording = Recording(size=9)
    recording.lists("abc")
    recording.lists("c")
    recording.wait(3, alive="abc")
    recording.lists("cd")
    recording.wait(3, alive="abcd")
    recording.lists("abcd")
    recording.wait(1, alive="abcd")
    found = judged(recording)
    assert found.story.begins == 103.0
    assert found.comparison.differences == ()
    assert found.left_out == 2


def test_addresses_that_only_earlier_lists_named_are_left_out() -> None:
    """The recording drained one that the replay has never heard of."""
    recording = Recording(size=8, protection=QUIET)
    recording.lists("abcdefgh")
    recording.lists("abcdefg")
    recording.lists("abcdef")
    recording.wait(1.0, alive="abcdefgh")
    recording.tell(recording.cluster.obey(recording.now))
    found = judged(recording)
    assert found.comparison.differences == ()


def test_zombies_of_a_lost_time_are_left_out_on_both_sides() -> None:
    """One that refuses on from before the beginning is a zombie to both, told at times that cannot be compared."""
    recording = Recording(size=14, protection=QUIET)
    recording.lists("abc")
    recording.call("refused", on="a")
    for listed in ("abcd", "abc", "abcd", "abc"):
        recording.wait(1.0, alive="bcd")
        recording.lists(listed)
    recording.wait(20.0, alive="bcd")
    assert "zombie" in recording.kinds()
    found = judged(recording)
    assert found.story.carried == {at("a")}
    assert found.comparison.differences == ()


def test_what_a_crowded_minute_left_no_room_for_is_left_out() -> None:
    """Three hundred instances are added at once, and a later list is compared as ever."""
    recording = Recording(protection=QUIET)
    recording.crowd(IN_A_WINDOW + 44)
    recording.wait(70.0)
    recording.lists("")
    found = judged(recording, replace(recording.policy, protection=BELIEVING))
    assert found.left_out == IN_A_WINDOW
    assert [each.now[-1].kind for each in found.comparison.differences] == ["snapshot_applied"]
