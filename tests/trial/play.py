"""The order of events of one trial, and the counting at its end."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from tests.support.sidecar_process import SidecarProcess
from tests.support.until import until
from tests.trial.load import loaded
from tests.trial.stage import Stage
from tests.trial.verdict import Books, Phase, Verdict

RESCUES = ("retry", "wait", "guard", "proof", "address")

_TOLD = {
    "push_refused": "why",
    "hold_ended": "by",
    "endpoint_quarantined": "reason",
    "endpoint_leaving": "signal",
    "endpoint_stalled": "",
    "endpoint_ejected": "reason",
    "registry_connected": "",
    "loop_lag": "",
}
"""Events that the table counts, each with the detail that tells two of a kind apart."""

_FLUSHED = 30.0
"""Seconds that the last line of the access log gets on a machine that is very busy; half a one is the contract."""

_QUIET, _ACTIVE = 0.05, 0.7
"""Shares of the time before the first step, and in which all steps begin; the rest is for the last one's aftermath."""


@dataclass(frozen=True, slots=True)
class Step:
    """One act, and the name of the stretch that it belongs to."""

    phase: str
    name: str
    act: Callable[[], Awaitable[None]]
    forgets: bool = False
    """The registry does not know afterwards what it knew, and says so until the providers are back."""


@dataclass(frozen=True, slots=True)
class Played:
    """`healed`: seconds from the registry listing everything to the sidecar using it, after each step."""

    verdict: Verdict
    phases: Sequence[Phase]
    healed: Sequence[float]


def rolling(stage: Stage) -> list[Step]:
    """Each provider restarted gracefully, then each killed and started again, then the registry restarted."""
    return [
        *(graceful(stage, number) for number in range(len(stage.providers))),
        *(violent(stage, number) for number in range(len(stage.providers))),
        registry(stage),
    ]


def graceful(stage: Stage, number: int) -> Step:
    provider = stage.providers[number]
    return Step("graceful restarts", f"{provider.address} restarts", partial(stage.restart, provider))


def violent(stage: Stage, number: int) -> Step:
    provider = stage.providers[number]
    return Step("kills", f"{provider.address} is killed, and started again", partial(stage.crash, provider))


def registry(stage: Stage) -> Step:
    return Step("restart of Nacos", f"Nacos at {stage.server.address} restarts", stage.restart_registry, forgets=True)


async def play(
    stage: Stage,
    sidecar: SidecarProcess,
    steps: Sequence[Step],
    *,
    rate: float,
    seconds: float,
    say: Callable[[str], None],
) -> Played:
    """Plays the steps under load: each at its moment of `seconds`, or as soon as the one before has healed."""
    now = asyncio.get_running_loop().time
    healed: list[float] = []
    refused: dict[str, int] = {}
    phases = [Phase("nothing", now())]
    async with loaded(await sidecar.bound(stage.service), rate=rate) as load:
        began = now()
        for number, step in enumerate(steps):
            await asyncio.sleep(began + seconds * (_QUIET + _ACTIVE * number / len(steps)) - now())
            if step.phase != phases[-1].name:
                phases.append(Phase(step.phase, now()))
            say(step.name)
            before = len(sidecar.events("push_refused"))
            await step.act()
            listed = now()
            await whole(stage, sidecar)
            healed.append(now() - listed)
            if step.forgets:
                refused[step.name] = len(sidecar.events("push_refused")) - before
        phases.append(Phase("nothing again", now()))
        say("nothing more happens")
        await asyncio.sleep(began + seconds - now())
    await _flushed(sidecar, len(load.calls))
    verdict = Verdict(
        calls=load.calls,
        executed=stage.executed(),
        kills=stage.kills,
        books=await _books(sidecar, stage.service),
        refused=refused,
        seconds=load.seconds,
        rate=rate,
    )
    return Played(verdict, phases, healed)


async def whole(stage: Stage, sidecar: SidecarProcess) -> None:
    """Returns when the sidecar sends to every provider, none of them held."""
    wanted = {provider.address: "available" for provider in stage.providers}

    async def is_whole() -> bool:
        (cluster,) = await sidecar.clusters()
        return {endpoint["address"]: endpoint["state"] for endpoint in cluster["endpoints"]} == wanted

    await until(is_whole, pause=0.1)


async def _flushed(sidecar: SidecarProcess, calls: int) -> None:
    """Returns when so many requests stand in the access log; with fewer the verdict has something to object to."""

    async def written() -> bool:
        return _logged(sidecar) >= calls

    with suppress(TimeoutError):
        await until(written, within=_FLUSHED, pause=0.1)


def _logged(sidecar: SidecarProcess) -> int:
    return (sidecar.folder / "access.log").read_text().count("\n")


async def _books(sidecar: SidecarProcess, service: str) -> Books:
    metrics = (await sidecar.admin("/metrics")).body.decode()
    events = sidecar.events()
    return Books(
        counted=_sum(metrics, f'sidecar_requests_total{{service="{service}",'),
        logged=_logged(sidecar),
        rescued={
            by: _sum(metrics, f'sidecar_rescued_requests_total{{service="{service}",by="{by}"}}') for by in RESCUES
        },
        events=Counter(_kind(event) for event in events if event["event"] in _TOLD),
        errors=[str(event) for event in events if event["level"] == "error"],
    )


def _sum(metrics: str, series: str) -> int:
    """Of all series that begin like this."""
    return sum(round(float(line.rpartition(" ")[2])) for line in metrics.splitlines() if line.startswith(series))


def _kind(event: dict[str, Any]) -> str:
    return " ".join((event["event"], str(event.get(_TOLD[event["event"]], "")))).strip()
