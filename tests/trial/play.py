"""The order of events of one trial, and the counting at its end."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
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

_QUIET, _ACTIVE = 0.05, 0.7
"""Shares of the time before the first step, and in which all steps begin; the rest is for the last one's aftermath."""

_FLUSHED = 1.0
"""Seconds after which a finished request stands in the access log: twice the contract's figure."""

_WHOLE = 30.0
"""Seconds for the sidecar to use everything that the registry lists; the contract says 5 after a restart."""


@dataclass(frozen=True, slots=True)
class Step:
    """One act, and the name of the stretch that it belongs to."""

    phase: str
    name: str
    act: Callable[[], Awaitable[None]]


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
    return Step("restart of Nacos", f"Nacos at {stage.server.address} restarts", stage.restart_registry)


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
    phases = [Phase("nothing", now())]
    async with loaded(await sidecar.bound(stage.service), rate=rate) as load:
        began = now()
        for number, step in enumerate(steps):
            await asyncio.sleep(began + seconds * (_QUIET + _ACTIVE * number / len(steps)) - now())
            if step.phase != phases[-1].name:
                phases.append(Phase(step.phase, now()))
            say(step.name)
            await step.act()
            listed = now()
            await whole(stage, sidecar)
            healed.append(now() - listed)
        phases.append(Phase("nothing again", now()))
        say("nothing more happens")
        await asyncio.sleep(began + seconds - now())
    await asyncio.sleep(_FLUSHED)
    verdict = Verdict(
        calls=load.calls,
        executed=stage.executed(),
        kills=stage.kills,
        books=await _books(sidecar, stage.service),
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

    await until(is_whole, within=_WHOLE, pause=0.1)


async def _books(sidecar: SidecarProcess, service: str) -> Books:
    metrics = (await sidecar.admin("/metrics")).body.decode()
    events = sidecar.events()
    return Books(
        counted=_sum(metrics, f'sidecar_requests_total{{service="{service}",'),
        logged=len((sidecar.folder / "access.log").read_text().splitlines()),
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
