"""The rows, in the order of the table."""

import asyncio
from typing import Any

from tests.peers.peer import Terms
from tests.trial.row import Row
from tests.trial.scene import Scene

_PAUSE = 1.0
"""Seconds between one restart and the next."""

_DOUBTFUL = 60.0
"""Seconds after its start in which the sidecar doubts every list that misses somebody."""

_LONG = 8.0
"""Seconds that a fault lasts which shows at once."""


# Restarts


async def rolling(scene: Scene) -> None:
    """Each in turn, gracefully."""
    for replica in tuple(scene.replicas):
        await scene.restart(replica)
        await scene.listed()
        await asyncio.sleep(_PAUSE)


async def time_has_passed(scene: Scene) -> None:
    """The sidecar believes what the registry says."""
    await asyncio.sleep(_DOUBTFUL + _PAUSE)


async def without_deregistering(scene: Scene) -> None:
    """Each in turn ends gracefully but for the registry, which lists it all the time."""
    for replica in scene.plain:
        scene.mark("SIGTERM")
        await replica.terminate()
        await asyncio.sleep(_PAUSE)
        await replica.listen()
        await asyncio.sleep(_PAUSE)


async def killed(scene: Scene) -> None:
    """Each in turn, and started again."""
    for replica in tuple(scene.replicas):
        await scene.kill(replica)
        await asyncio.sleep(2 * _PAUSE)
        await replica.start()
        scene.there(replica)
        await scene.listed()
        await asyncio.sleep(_PAUSE)


async def alone(scene: Scene) -> None:
    """The only one restarts, twice."""
    for _ in range(2):
        await scene.restart(*scene.replicas, away=0.5)
        await scene.listed()
        await asyncio.sleep(2 * _PAUSE)


async def all_at_once(scene: Scene) -> None:
    await asyncio.gather(*(scene.restart(replica, away=0.5) for replica in scene.replicas))
    await scene.listed()


async def to_new_ports(scene: Scene) -> None:
    """A new version starts beside each of the old, which then ends gracefully."""
    for old in tuple(scene.replicas):
        new = scene.add()
        await new.start()
        scene.there(new)
        await scene.listed()
        scene.mark("new port")
        scene.gone(old)
        await old.stop()
        await scene.listed()
    await asyncio.sleep(2 * _PAUSE)


# Instances in trouble


async def frozen(scene: Scene) -> None:
    await scene.freeze(scene.plain[0], 20.0)
    await asyncio.sleep(_PAUSE)


async def cut_off(scene: Scene) -> None:
    await scene.cut_off(scene.plain[0], 15.0)
    await asyncio.sleep(2 * _PAUSE)


async def registers_early(scene: Scene) -> None:
    """One restarts, and is registered five seconds before it accepts."""
    replica = scene.plain[0]
    scene.mark("restart")
    scene.gone(replica)
    await replica.stop()
    replica.register()
    scene.there(replica)
    await asyncio.sleep(5.0)
    await replica.listen()
    scene.mark("accepts")
    await asyncio.sleep(2 * _PAUSE)


async def unready(scene: Scene) -> None:
    """One restarts, and answers 503 for its first five seconds."""
    replica = scene.plain[0]
    replica.becomes(warm_up=5.0)
    await scene.restart(replica)
    await asyncio.sleep(_LONG)


async def fails(scene: Scene) -> None:
    """One restarts as a version that is broken."""
    replica = scene.plain[0]
    replica.becomes(status=500)
    await scene.restart(replica)
    await asyncio.sleep(_LONG)


async def slow(scene: Scene) -> None:
    """One restarts as a version that takes two seconds for everything."""
    replica = scene.plain[0]
    replica.becomes(delay=2.0)
    await scene.restart(replica)
    await asyncio.sleep(_LONG)


async def idles(scene: Scene) -> None:
    """Calls come in bursts, and providers close idle connections at about the age at which the next one takes them."""
    await asyncio.sleep(_LONG)


# The registry in trouble


async def registry_restarts(scene: Scene) -> None:
    """While it is away one provider restarts."""
    scene.mark("Nacos ends")
    scene.truth.registry_is_of_use = False
    await scene.ground.stop()
    await scene.restart(scene.replicas[0])
    await scene.ground.start()
    scene.mark("Nacos is back")
    scene.truth.registry_is_of_use = True
    await scene.listed()
    await asyncio.sleep(3 * _PAUSE)


async def registry_ends(scene: Scene) -> None:
    """And the sidecar starts after that, from what its disk holds."""
    await scene.ground.stop()
    scene.truth.registry_is_of_use = False
    await scene.sidecar.restart()


async def rolling_unheard(scene: Scene) -> None:
    """Each in turn, gracefully, and nobody is told."""
    for replica in tuple(scene.replicas):
        await scene.restart(replica)
        await asyncio.sleep(_PAUSE)


async def falsely_empty(scene: Scene) -> None:
    scene.mark("empty list")
    await scene.liar.lie(lambda _: [])
    await asyncio.sleep(_LONG)
    await scene.liar.confess()
    scene.mark("true list")
    await asyncio.sleep(_PAUSE)


async def falsely_one(scene: Scene) -> None:
    scene.mark("one left")
    await scene.liar.lie(lambda hosts: hosts[:1])
    await asyncio.sleep(_LONG)
    await scene.liar.confess()
    scene.mark("true list")
    await asyncio.sleep(_PAUSE)


async def stale(scene: Scene) -> None:
    """The list stays what it was for 30 s; meanwhile two of three move to other ports."""
    await scene.liar.freeze()
    scene.mark("list stands still")
    began = scene.now()
    for old in scene.replicas[:2]:
        await asyncio.sleep(3 * _PAUSE)
        scene.mark("new port")
        scene.gone(old)
        await old.stop()
        new = scene.add()
        await new.start()
        scene.there(new)
    await asyncio.sleep(began + 30.0 - scene.now())
    await scene.liar.confess()
    scene.mark("true list")
    await asyncio.sleep(2 * _PAUSE)


# The sidecar's own


async def reloaded(scene: Scene) -> None:
    """Its file changes just when each provider ends."""
    changes: list[dict[str, Any]] = [{"timeouts": {"connect": "900ms"}}, {"hosts": ["other"]}, {}]
    for replica, change in zip(tuple(scene.replicas), changes, strict=True):
        async with asyncio.TaskGroup() as both:
            both.create_task(scene.restart(replica))
            scene.mark("reload")
            both.create_task(scene.sidecar.reload(**change))
        await scene.listed()
        await asyncio.sleep(_PAUSE)


_NOBODY_THERE = "a call waits until somebody is back, who is away for 2 s at most (`wait_for_instance`: 3 s)"
_SILENT = "silence shows after 1 to 1.25 s (`stall_after`, and the next look), then a GET goes elsewhere"

ROWS = (
    Row("graceful-3", "graceful rolling restart of 3", rolling),
    Row("graceful-later", "the same, a minute after the sidecar's start", rolling, first=time_has_passed),
    Row("graceful-10", "graceful rolling restart of 10", rolling, count=10),
    Row("no-deregistering", "SIGTERM without deregistering, each of 3", without_deregistering),
    Row("kill", "kill -9, each of 3", killed, longest="a GET that was on it is asked anew elsewhere"),
    Row("freeze", "SIGSTOP for 20 s, one of 3", frozen, longest=_SILENT),
    Row(
        "black-hole",
        "black hole for 15 s, one of 3",
        cut_off,
        longest=f"{_SILENT}; a connect is given up after 1 s (`timeouts.connect`)",
        drops_packets=True,
    ),
    Row(
        "single",
        "single replica restarts, twice",
        alone,
        count=1,
        longest=_NOBODY_THERE,
        nobody_else=True,
    ),
    Row("all-at-once", "all 3 restart at once", all_at_once, longest=_NOBODY_THERE, nobody_else=True),
    Row("accepts-late", "slow start: registered 5 s before it accepts", registers_early),
    Row("answers-503", "slow start: answers 503 for 5 s", unready),
    Row("bad-500", "one of 3 turns bad: answers 500", fails, terms=Terms(repeat_500=True)),
    Row(
        "bad-slow",
        "one of 3 turns bad: takes 2 s",
        slow,
        longest="the bad one's two seconds: what it answers is right, so few are sent there and none is asked anew",
    ),
    Row("nacos-restarts", "Nacos restarts, and a provider meanwhile", registry_restarts),
    Row(
        "nacos-down",
        "Nacos down all the time, sidecar restarted, rolling restart of 3",
        rolling_unheard,
        first=registry_ends,
    ),
    Row("false-empty", "false empty push", falsely_empty, lies=True, false_list=True, direct_fails=False),
    Row("shrink", "list shrinks to one of 5", falsely_one, count=5, lies=True, false_list=True, direct_fails=False),
    Row("stale", "stale list for 30 s, two of 3 move to other ports", stale, lies=True),
    Row(
        "idle-close",
        "idle-close race, in bursts of a second's calls",
        idles,
        habits={"idle": 0.95},
        longest="its burst: of every caller 200 calls at one moment",
        burst=1.0,
    ),
    Row("new-port", "new version listens on a new port, 3 of 3", to_new_ports),
    Row("reload", "sidecar reloads during a rolling restart of 3", reloaded),
)

QUICK = ("graceful-3", "kill", "false-empty")
"""Those that say most in a minute."""
