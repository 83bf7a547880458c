"""What happens to providers and registry in each row.

**Same addresses.** Providers restart one after another, the next one as soon as the registry lists the one before;
they end in their own time, or by force, or freeze. A dead one that registered over HTTP stays in the list for half a
minute.

**Other addresses.** A new one for each old one, as containers have it. Whoever keeps a list calls nobody but the dead
until it asks again: every 30 s (Ribbon), after 35 s (LoadBalancer).

**Lists.** The registry loses all providers at once, while they serve on; or it is gone itself, and comes back empty.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from tests.apps.app import Provider
from tests.apps.stacks import A1, Balancer
from tests.apps_trial.stage import ORDINARY, Life, Stage
from tests.apps_trial.ways import Trouble

Act = Callable[[Stage], Awaitable[None]]

_REFRESH = 36.0
"""Seconds after which every app has asked the registry again, whatever balancer it has."""

_AWAY = 1.0
"""Seconds between a provider's violent end and its next start."""

_BEFORE_REFRESH = 6.0, 9.0
"""Ribbon asks every 30 s; the short empty list begins so many seconds before it does."""

_AFTER_REFRESH = 24.0, 29.5
"""The exchange begins soon after Ribbon has asked, so that it does not learn of the new ones before the old are gone."""

_RELISTED = 4.0
"""Seconds, about, from the wire's mending until the first provider is listed again: its client tries every so often."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    name: str
    trouble: Trouble
    act: Act
    hurts: frozenset[Balancer]
    """Whose apps, calling directly, have to lose calls: else the row would prove nothing."""
    life: Life = ORDINARY
    """Of the providers, when the row begins."""
    aftermath: float = 5.0
    """Seconds for which calls count after the act."""


async def rolling(stage: Stage) -> None:
    for provider in tuple(stage.providers):
        await stage.stop(provider)
        await stage.start(provider)
        await stage.settled()


async def by_force(stage: Stage, *, end: Callable[[Stage], Callable[..., Awaitable[None]]]) -> None:
    for provider in tuple(stage.providers):
        await end(stage)(provider)
        await asyncio.sleep(_AWAY)
        await stage.start(provider)
        await stage.settled()


async def frozen(stage: Stage) -> None:
    await stage.freeze(stage.providers[0], 20.0)


async def registry_down(stage: Stage) -> None:
    await stage.server.stop()
    await asyncio.sleep(22.0)
    await stage.server.start()
    await stage.settled()


async def onto_new_ports(stage: Stage) -> None:
    for old in tuple(stage.providers):
        await stage.enter(stage.new_provider())
        await stage.leave(old)
        await stage.settled()


async def all_exchanged(stage: Stage) -> None:
    old = tuple(stage.providers)
    await stage.before_refresh(*_AFTER_REFRESH)
    await stage.enter(*(stage.new_provider() for _ in old))
    async with asyncio.TaskGroup() as leaving:
        for number, provider in enumerate(old):
            leaving.create_task(_leave_after(stage, provider, number * 1.0))
    await stage.settled()


async def _leave_after(stage: Stage, provider: Provider, seconds: float) -> None:
    await asyncio.sleep(seconds)
    await stage.leave(provider)


async def empty_list(stage: Stage, *, seconds: float) -> None:
    await stage.before_refresh(*_BEFORE_REFRESH)
    stage.wire.cut()
    await stage.emptied()
    await asyncio.sleep(seconds - _RELISTED)
    await stage.wire.mend()
    await stage.settled()


_NOBODY: frozenset[Balancer] = frozenset()
_RIBBON, _LOADBALANCER = frozenset({Balancer.RIBBON}), frozenset({Balancer.LOADBALANCER})
_BOTH = _RIBBON | _LOADBALANCER

ROLLING = Row("graceful rolling restart", Trouble.ADDRESSES, rolling, _LOADBALANCER)
SIGTERM = Row(
    "SIGTERM without deregistering",
    Trouble.ADDRESSES,
    partial(by_force, end=lambda stage: stage.die),
    _LOADBALANCER,
    Life(properties=("--spring.main.register-shutdown-hook=false",)),
)
KILL = Row("kill -9", Trouble.ADDRESSES, partial(by_force, end=lambda stage: stage.kill), _LOADBALANCER)
KILL_HTTP = Row(
    "kill -9, HTTP-heartbeat providers",
    Trouble.ADDRESSES,
    partial(by_force, end=lambda stage: stage.kill),
    _LOADBALANCER,
    Life(A1),
)
FROZEN = Row("one frozen for 20 s", Trouble.ADDRESSES, frozen, _BOTH)
REGISTRY_DOWN = Row("Nacos down for 38 s", Trouble.LISTS, registry_down, _NOBODY, aftermath=_REFRESH)
NEW_PORTS = Row("rolling onto new ports", Trouble.ADDRESSES, onto_new_ports, _LOADBALANCER, aftermath=_REFRESH)
EXCHANGED = Row(
    "three new up, three old stopped in 3 s",
    Trouble.ADDRESSES,
    all_exchanged,
    _NOBODY,  # for sure: who happens to ask between the one and the other is not
    aftermath=_REFRESH,
)
EMPTY_15 = Row(
    "empty list for 15 s, all serve", Trouble.LISTS, partial(empty_list, seconds=15.0), _RIBBON, aftermath=_REFRESH
)
EMPTY_40 = Row(
    "empty list for 40 s, all serve", Trouble.LISTS, partial(empty_list, seconds=40.0), _BOTH, aftermath=_REFRESH
)

SAME_ADDRESSES = (ROLLING, SIGTERM, KILL, KILL_HTTP, FROZEN)
OTHER_ADDRESSES_AND_LISTS = (NEW_PORTS, EXCHANGED, EMPTY_15, EMPTY_40, REGISTRY_DOWN)
