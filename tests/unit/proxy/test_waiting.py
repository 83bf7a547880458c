"""The waiting room is bounded, fair, and a release always ends."""

from sidecar.errors import FAILURES
from sidecar.proxy.waiting import WaitingRoom, why_nobody


class Guest:
    def __init__(self, name: str, log: list[str], back_into: WaitingRoom | None = None) -> None:
        self.name, self.log, self.back_into = name, log, back_into

    def released(self, now: float) -> None:
        self.log.append(self.name)
        if self.back_into is not None:
            self.back_into.enter(self)


def always() -> bool:
    return True


def test_first_in_is_first_out() -> None:
    """Waiters are released in the order of their arrival."""
    room, log = WaitingRoom(8), list[str]()
    for name in "abc":
        assert room.enter(Guest(name, log))
    assert room.release(0.0, always) == 3
    assert log == ["a", "b", "c"]
    assert repr(room) == "<WaitingRoom 0/8>"


def test_a_full_room_turns_away() -> None:
    """One more than `max_queued` is refused, and enters once somebody left."""
    room, log = WaitingRoom(1), list[str]()
    first, second = Guest("a", log), Guest("b", log)
    assert room.enter(first)
    assert not room.enter(second)
    room.leave(first)
    assert room.enter(second)


def test_who_left_is_not_released() -> None:
    """Leaving during a release counts, too; leaving twice harms nobody."""
    room, log = WaitingRoom(8), list[str]()
    second = Guest("b", log)

    class Pusher(Guest):
        def released(self, now: float) -> None:
            super().released(now)
            room.leave(second)
            room.leave(second)

    room.enter(Pusher("a", log))
    room.enter(second)
    assert room.release(0.0, always) == 1
    assert log == ["a"]


def test_a_release_ends_though_everybody_comes_back() -> None:
    """A waiter that enters again during a release waits for the next one."""
    room, log = WaitingRoom(8), list[str]()
    for name in "ab":
        room.enter(Guest(name, log, back_into=room))
    assert room.release(0.0, always) == 2
    assert log == ["a", "b"]
    assert len(room) == 2


def test_a_release_stops_when_nothing_is_left_to_give() -> None:
    """The rest keeps its place."""
    room, log = WaitingRoom(8), list[str]()
    for name in "abc":
        room.enter(Guest(name, log))
    room.release(0.0, lambda: len(log) < 2)
    assert log == ["a", "b"]
    room.release(0.0, always)
    assert log == ["a", "b", "c"]


def test_a_wait_in_vain_is_told_by_the_last_refusal() -> None:
    """Where nobody refused, or something had been sent, it is that there was no instance."""
    assert why_nobody(FAILURES["refused"]) is FAILURES["refused"]
    assert why_nobody(FAILURES["reset"]) is FAILURES["no_instance"]
    assert why_nobody(None) is FAILURES["no_instance"]
