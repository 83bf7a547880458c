"""What a test makes the embedded registry say of plain providers, and the scene with which most stories begin."""

from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from sidecar.embedded.faults import ForcedList, PushNow, name_of
from sidecar.embedded.registry import EmbeddedRegistry
from tests.support.guard_stage import SERVICE, GuardStage, guard_stage
from tests.support.plain_provider import PlainProvider, plain_providers

HOST = "127.0.0.1"


def join(registry: EmbeddedRegistry, providers: Iterable[PlainProvider]) -> None:
    """They register, each under its own name."""
    for provider in providers:
        registry.register(provider.name, provider.host, provider.port)


def leave(registry: EmbeddedRegistry, providers: Iterable[PlainProvider]) -> None:
    """They deregister, whether they go on serving or not."""
    for provider in providers:
        registry.deregister(provider.name, provider.host, provider.port)


async def lie(registry: EmbeddedRegistry, fault: ForcedList) -> None:
    """Pushes and answers are as the fault has them from now on."""
    await registry.apply(fault)
    await registry.apply(PushNow(SERVICE))


async def tell_the_truth(registry: EmbeddedRegistry) -> None:
    """Ends every `lie`."""
    registry.lift(name_of(ForcedList))
    await registry.apply(PushNow(SERVICE))


@asynccontextmanager
async def scene(
    registry: EmbeddedRegistry,
    folder: Path,
    count: int,
    *,
    delay: float = 0.0,
    protection: str = "",
    leaving_signals: bool = True,
) -> AsyncIterator[tuple[GuardStage, list[PlainProvider]]]:
    """So many registered providers, all of them in use, and the app that calls them.

    Fails at the end when a POST was carried out twice.
    """
    async with plain_providers(folder, count, delay=delay) as providers:
        join(registry, providers)
        async with guard_stage(
            folder, registry.address, protection=protection, leaving_signals=leaving_signals
        ) as stage:
            await stage.all_become("available", providers)
            await stage.calls()
            yield stage, providers
        executed = Counter(line for provider in providers for line in provider.executed())
        assert not [line for line, times in executed.items() if times > 1 and line.startswith("POST")]


def addresses(providers: Iterable[PlainProvider]) -> set[str]:
    """Theirs."""
    return {provider.address for provider in providers}
