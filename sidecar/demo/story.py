"""The order of events: the scene is set, a load begins, the providers restart in turn, the registry lies, and counts are read."""

import asyncio
import json
import signal
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sidecar.clock import monotonic
from sidecar.demo.callers import CachedList, Caller, Fixed, client_session
from sidecar.demo.display import Display
from sidecar.demo.processes import Stage, StageError
from sidecar.demo.scene import SERVICE, Scene, set_scene
from sidecar.demo.timing import LATEST, Moments, affordable, moments
from sidecar.demo.verdict import Tally, Verdict, repeated

_LOOK = 0.2
"""Seconds between two looks at the counts; at processes and metrics every fifth time."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line said: seconds, calls a second of each caller."""

    duration: float
    rate: int
    keep: bool
    as_json: bool


def tell(options: Options) -> bool:
    """Plays the whole story; True when the sidecar's side is clean and the comparison means something."""
    story = _Story(options)
    try:
        asyncio.run(story.play())
    except* StageError as failed:
        story.display.say("".join(f"\nnot proven: {error}" for error in failed.exceptions))
    except* asyncio.CancelledError:
        if story.verdict is None:
            story.display.say("\nnot proven: interrupted, and everything that was started has been ended")
    return story.verdict is not None and not story.verdict.objections


class _Story:
    """One run on one stage."""

    def __init__(self, options: Options) -> None:
        self.verdict: Verdict | None = None
        self._options = options
        self._direct = Tally("direct, list cached 30 s")
        self._through = Tally("through the sidecar")
        self.display = Display(sys.stderr, self._direct, self._through)
        self._started = monotonic()
        self._told = False

    async def play(self) -> None:
        """From the first process to the last; a signal ends it early, and ends all processes all the same."""
        _heed_signals()
        with tempfile.TemporaryDirectory(prefix="nacos-sidecar-demo-") as folder:
            stage = Stage(Path(folder), deadline=self._started + LATEST)
            async with stage, client_session() as session:
                scene = await set_scene(stage, session, self.display.say)
                await self._load(scene)
                await self._judge(scene)
                if self._options.keep:
                    await asyncio.Event().wait()

    async def _load(self, scene: Scene) -> None:
        rate, wanted = self._options.rate, self._options.duration
        seconds = affordable(wanted, monotonic() - self._started)
        if seconds is None:
            raise StageError("the machine is too busy: starting everything took too much of the minute")
        if seconds < wanted:
            self.display.say(f"starting took long, so the load lasts only {seconds:.0f} s")
        self.display.say(f"{rate} calls/s a caller for {seconds:.0f} s, half GET, half POST\n")
        async with client_session() as legacy, client_session() as app:
            cached = CachedList(legacy, scene.registry.address, SERVICE)
            await cached.refresh()
            direct = Caller(self._direct, legacy, cached, prefix="d-")
            through = Caller(self._through, app, Fixed(scene.listen), prefix="s-")
            await self._together(scene, (direct, through), seconds)

    async def _together(self, scene: Scene, callers: tuple[Caller, Caller], seconds: float) -> None:
        """Both loads, and the trouble beside them; the loads last until the trouble is over."""
        latest = self._started + LATEST

        def over(due: float) -> bool:
            return due >= seconds and (self._told or monotonic() > latest)

        self.display.begin(monotonic())
        try:
            async with asyncio.TaskGroup() as group:
                loads = [group.create_task(caller.offer(rate=self._options.rate, over=over)) for caller in callers]
                group.create_task(self._trouble(scene, moments(seconds, len(scene.providers))))
                watch = group.create_task(self._watch(scene))
                await asyncio.wait(loads)
                watch.cancel()
        finally:
            self.display.end()
            self.display.say("")

    async def _trouble(self, scene: Scene, when: Moments) -> None:
        """The rolling restart, then one false empty push; each step at its time, once the one before has settled."""
        began = monotonic()
        for provider, moment in zip(scene.providers, when.restarts, strict=True):
            await asyncio.sleep(began + moment - monotonic())
            self._note(f"{provider.name} restarts")
            await scene.restart(provider)
            self._note(f"{provider.name} is registered again")
        await asyncio.sleep(began + when.lie - monotonic())
        self._note("the registry claims that no provider is left (false)")
        await scene.registry.deny_all()
        await asyncio.sleep(when.lie_lasts)
        await scene.registry.tell_the_truth()
        self._note("the registry tells the truth again")
        self._told = True

    async def _watch(self, scene: Scene) -> None:
        """Shows how it goes, and sees to it that everybody is still there."""
        while True:
            scene.stage.check()
            with suppress(StageError):
                self.display.rescued = sum((await scene.admin.rescued()).values())
            for _ in range(5):
                self.display.refresh(monotonic())
                await asyncio.sleep(_LOOK)

    def _note(self, text: str) -> None:
        self.display.note(text, monotonic())

    async def _judge(self, scene: Scene) -> None:
        executed = scene.executed()
        self._through.duplicated = repeated(executed, "s-")
        self._direct.duplicated = repeated(executed, "d-")
        self.verdict = Verdict(direct=self._direct, sidecar=self._through, rescued=await scene.admin.rescued())
        if self._options.keep:
            self.display.say(scene.invitation())
        if self._options.as_json:
            for objection in self.verdict.objections:
                self.display.say(f"not proven: {objection}")
            print(json.dumps(self.verdict.as_json()), flush=True)  # noqa: T201 - the result
        else:
            print(self.verdict.as_text(), end="", flush=True)  # noqa: T201 - the result


def _heed_signals() -> None:
    """Whatever asks the demo to end ends its processes first; the closing of the terminal does so too."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - called from one
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
