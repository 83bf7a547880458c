"""The wheel is never early, at most a tick late, and forgets what is gone."""

import asyncio
import gc
import itertools
import math
import weakref
from collections.abc import Callable

import pytest

from sidecar.proxy.wheel import RESOLUTION, Timer, Wheel


class Alarm:
    def __init__(self) -> None:
        self.rang: list[float] = []
        self.timer = Timer(self.rang.append)


pytestmark = pytest.mark.virtual_time


@pytest.mark.parametrize("delay", [0.0, 0.05, 0.1, 1.0, 9.97, 10.3, 61.5])
async def test_a_timer_fires_once_not_early_and_at_most_a_tick_late(delay: float) -> None:
    """Whatever the distance, within the horizon or far beyond it."""
    loop = asyncio.get_running_loop()
    wheel, alarm = Wheel(loop.call_later, loop.time), Alarm()
    deadline = loop.time() + delay
    wheel.arm(alarm.timer, deadline)
    await asyncio.sleep(delay + 5)
    assert len(alarm.rang) == 1
    assert deadline <= alarm.rang[0] <= deadline + RESOLUTION + 0.05


async def test_a_deadline_that_moves_later_is_only_a_write() -> None:
    """A timer extended before it is due fires at the last deadline alone."""
    loop = asyncio.get_running_loop()
    wheel, alarm = Wheel(loop.call_later, loop.time), Alarm()
    start = loop.time()
    for step in range(10):
        wheel.arm(alarm.timer, start + step + 1)
        await asyncio.sleep(0.5)
    assert alarm.rang == []
    await asyncio.sleep(6)
    assert [round(rang - start) for rang in alarm.rang] == [10]


async def test_a_deadline_that_moves_earlier_fires_then_and_not_again() -> None:
    """It has left the later bucket."""
    loop = asyncio.get_running_loop()
    wheel, alarm = Wheel(loop.call_later, loop.time), Alarm()
    start = loop.time()
    wheel.arm(alarm.timer, start + 8)
    wheel.arm(alarm.timer, start + 2)
    assert repr(wheel) == "<Wheel 1 timers>"
    await asyncio.sleep(20)
    assert [round(rang - start) for rang in alarm.rang] == [2]


async def test_a_disarmed_timer_stays_silent_until_it_is_armed_again() -> None:
    """Disarming is no end."""
    loop = asyncio.get_running_loop()
    wheel, alarm = Wheel(loop.call_later, loop.time), Alarm()
    wheel.arm(alarm.timer, loop.time() + 1)
    alarm.timer.disarm()
    await asyncio.sleep(5)
    assert alarm.rang == []
    wheel.arm(alarm.timer, loop.time() + 1)
    await asyncio.sleep(5)
    assert len(alarm.rang) == 1


async def test_a_timer_may_be_armed_again_while_it_fires() -> None:
    """A callback that arms its own timer is called again, a full delay later."""
    loop = asyncio.get_running_loop()
    wheel = Wheel(loop.call_later, loop.time)
    rang: list[float] = []

    def again(now: float) -> None:
        rang.append(now)
        if len(rang) < 3:
            wheel.arm(timer, now + 1)

    timer = Timer(again)
    wheel.arm(timer, loop.time() + 1)
    await asyncio.sleep(10)
    assert len(rang) == 3
    assert all(1 <= later - earlier < 1.3 for earlier, later in itertools.pairwise(rang))


async def test_a_cancelled_timer_and_its_owner_are_let_go_at_once() -> None:
    """A connection that closed an hour before its idle limit is not kept alive by it, nor leaves anything behind."""
    loop = asyncio.get_running_loop()
    wheel = Wheel(loop.call_later, loop.time)

    class Owner:
        def __init__(self) -> None:
            self.timer = Timer(self.expired)

        def expired(self, now: float) -> None: ...

    owner = Owner()
    gone = weakref.ref(owner)
    wheel.arm(owner.timer, loop.time() + 3600)
    wheel.cancel(owner.timer)
    assert repr(wheel) == "<Wheel 0 timers>"
    del owner
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("moved", [False, True])
async def test_a_callback_may_cancel_or_move_another_timer_of_its_tick(moved: bool) -> None:  # noqa: FBT001
    """The other one does not ring with it: never again, or at its new time."""
    loop = asyncio.get_running_loop()
    wheel, other, rang = Wheel(loop.call_later, loop.time), Alarm(), list[float]()

    def first(now: float) -> None:
        rang.append(now)
        if moved:
            wheel.arm(other.timer, now + 3)
        else:
            wheel.cancel(other.timer)

    for timer in (Timer(first), other.timer):
        wheel.arm(timer, loop.time() + 1)
    await asyncio.sleep(2)
    assert (len(rang), other.rang) == (1, [])
    await asyncio.sleep(3)
    assert len(other.rang) == moved


async def test_a_cancelled_timer_never_rings_again() -> None:
    """Not even for one who arms it once more."""
    loop = asyncio.get_running_loop()
    wheel, alarm = Wheel(loop.call_later, loop.time), Alarm()
    wheel.arm(alarm.timer, loop.time() + 1)
    wheel.cancel(alarm.timer)
    assert alarm.timer.deadline == math.inf
    wheel.arm(alarm.timer, loop.time() + 1)
    await asyncio.sleep(5)
    assert alarm.rang == []


@pytest.mark.parametrize("cancelled", [False, True])
async def test_an_empty_wheel_does_not_tick(cancelled: bool) -> None:  # noqa: FBT001
    """When the last timer is gone, nothing keeps the loop busy, and the wheel still works afterwards."""
    loop = asyncio.get_running_loop()
    calls: list[float] = []

    def call_later(delay: float, callback: object) -> object:
        calls.append(delay)
        return loop.call_later(delay, callback)  # type: ignore[arg-type]

    wheel, alarm = Wheel(call_later, loop.time), Alarm()
    wheel.arm(alarm.timer, loop.time() + 0.2)
    if cancelled:
        other = Alarm()
        wheel.arm(other.timer, loop.time() + 60)
        wheel.cancel(other.timer)
    await asyncio.sleep(1)
    ticks = len(calls)
    await asyncio.sleep(60)
    assert len(calls) == ticks
    assert repr(wheel) == "<Wheel 0 timers>"
    wheel.arm(alarm.timer, loop.time() + 1)
    await asyncio.sleep(5)
    assert len(alarm.rang) == 2


async def test_a_callback_that_fails_stops_no_other_timer() -> None:
    """Those of the same tick and all later ones fire, and the loop's handler hears of the failure once."""
    loop = asyncio.get_running_loop()
    wheel, same, later = Wheel(loop.call_later, loop.time), Alarm(), Alarm()
    heard: list[object] = []
    loop.set_exception_handler(lambda _, context: heard.append(context["exception"]))
    failure = RuntimeError("broken")

    def fail(now: float) -> None:
        raise failure

    for timer, delay in ((Timer(fail), 1), (same.timer, 1), (later.timer, 2)):
        wheel.arm(timer, loop.time() + delay)
    await asyncio.sleep(5)
    assert (len(same.rang), len(later.rang)) == (1, 1)
    wheel.arm(same.timer, loop.time() + 1)
    await asyncio.sleep(5)
    assert len(same.rang) == 2
    assert heard == [failure]


@pytest.mark.parametrize("stood_still", [5.0, 10.2, 15.0, 100.0])
def test_no_timer_is_lost_while_the_process_stands_still(stood_still: float) -> None:
    """One that was stopped or paused for longer than the wheel looks ahead rings all that is due, and goes on."""
    clock, turns = [1000.0], list[Callable[[], None]]()

    def call_later(_delay: float, callback: Callable[[], None]) -> None:
        turns.append(callback)

    wheel, alarms = Wheel(call_later, lambda: clock[0]), [Alarm() for _ in range(4)]
    for alarm, delay in zip(alarms, (0.5, 4.0, 9.0, 3600.0), strict=True):
        wheel.arm(alarm.timer, clock[0] + delay)
    clock[0] += stood_still
    turns.pop()()
    assert [len(alarm.rang) for alarm in alarms] == [1, 1, int(stood_still >= 9.0), 0]
    for alarm in alarms:
        wheel.arm(alarm.timer, clock[0] + 1.0)
    clock[0] += 1.2
    turns.pop()()
    assert all(alarm.rang[-1:] == [clock[0]] for alarm in alarms)


async def test_no_deadline_is_no_work() -> None:
    """Arming with infinity files nothing."""
    loop = asyncio.get_running_loop()
    wheel, alarm = Wheel(loop.call_later, loop.time), Alarm()
    wheel.arm(alarm.timer, math.inf)
    assert repr(wheel) == "<Wheel 0 timers>"
