"""Instances written in the YAML."""

import asyncio
import contextlib
import itertools
import logging
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from sidecar.cluster.instance import Origin, Push
from sidecar.discovery.source import Update
from sidecar.discovery.static import StaticSource

pytestmark = pytest.mark.virtual_time


class Names:
    """A resolver that knows what the test tells it; None is a failure."""

    def __init__(self) -> None:
        self.known: dict[str, list[str] | None] = {}
        self.asked: list[float] = []

    async def __call__(self, host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
        self.asked.append(asyncio.get_running_loop().time())
        found = self.known.get(host)
        if found is None:
            raise socket.gaierror(socket.EAI_AGAIN, "no answer")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]


@pytest.fixture
async def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    resolver = Names()
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolver)
    return resolver


@contextlib.asynccontextmanager
async def opened(*texts: str) -> AsyncIterator[tuple[StaticSource, AsyncIterator[Update]]]:
    source = StaticSource({"orders": texts})
    try:
        yield source, source.updates()
    finally:
        await source.close()


async def addresses(updates: AsyncIterator[Update]) -> list[str]:
    update = await anext(updates)
    assert isinstance(update, Push)
    assert (update.service, update.origin) == ("orders", Origin.STATIC)
    return [instance.address for instance in update.instances]


async def quiet_for(updates: AsyncIterator[Update], seconds: float) -> bool:
    pending = asyncio.ensure_future(anext(updates))  # noqa: TID251 - awaited here
    done, _ = await asyncio.wait({pending}, timeout=seconds)
    pending.cancel()
    return not done


async def test_addresses_are_a_list_at_once_and_for_good() -> None:
    """Nothing to resolve, nothing to repeat; IPv6 keeps its brackets; twice is once."""
    async with opened("10.0.0.1:8080", "[::1]:8081", "10.0.0.1:8080") as (_, updates):
        assert await addresses(updates) == ["10.0.0.1:8080", "[::1]:8081"]
        assert await quiet_for(updates, 3600)


async def test_a_name_is_resolved_again_every_thirty_seconds(names: Names) -> None:
    """A changed answer is a changed list, thirty seconds later at most."""
    names.known["db"] = ["10.0.0.1"]
    async with opened("db:5432") as (_, updates):
        assert await addresses(updates) == ["10.0.0.1:5432"]
        names.known["db"] = ["10.0.0.2", "10.0.0.3"]
        assert await addresses(updates) == ["10.0.0.2:5432", "10.0.0.3:5432"]
        assert names.asked[1] - names.asked[0] == pytest.approx(30, abs=0.1)


async def test_a_failed_resolution_changes_nothing(names: Names) -> None:
    """The addresses of before are told again."""
    names.known["db"] = ["10.0.0.1"]
    async with opened("db:5432") as (_, updates):
        first = await addresses(updates)
        names.known["db"] = None
        assert await addresses(updates) == first


async def test_a_name_that_fails_is_told_of_once(names: Names, caplog: pytest.LogCaptureFixture) -> None:
    """And so is its return: a name that is written wrong is no error anywhere else."""
    caplog.set_level(logging.INFO, "sidecar")
    names.known |= {"a": ["10.0.0.1"], "typo": None}
    async with opened("a:1", "typo:2") as (_, updates):
        for _ in range(3):
            await addresses(updates)
        names.known |= {"a": None, "typo": ["10.0.0.2"]}
        for _ in range(2):
            await addresses(updates)
    again = "and it is tried again"
    assert caplog.messages == [
        f"orders: typo cannot be resolved: no answer; it has no instances, {again}",
        f"orders: a cannot be resolved: no answer; the addresses it had stay in use, {again}",
        "orders: typo resolves again",
    ]


async def test_a_resolver_that_is_silent_is_told_of(
    names: Names, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Within five seconds, and the other names are not held up for longer."""
    names.known["a"] = ["10.0.0.1"]

    async def silent(host: str, port: int, **options: Any) -> list[tuple[Any, ...]]:
        if host == "silent":
            await asyncio.Event().wait()
        return await names(host, port, **options)

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", silent)
    async with opened("a:1", "silent:2") as (_, updates):
        assert await addresses(updates) == ["10.0.0.1:1"]
    assert [message.partition(";")[0] for message in caplog.messages] == [
        "orders: silent cannot be resolved: no answer within 5 s"
    ]


async def test_one_failing_name_does_not_take_the_others_along(names: Names) -> None:
    """Each name keeps its own addresses."""
    names.known |= {"a": ["10.0.0.1"], "b": ["10.0.0.2"]}
    async with opened("a:1", "b:2") as (_, updates):
        await addresses(updates)
        names.known |= {"a": None, "b": ["10.0.0.3"]}
        assert await addresses(updates) == ["10.0.0.1:1", "10.0.0.3:2"]


async def test_what_never_resolved_is_no_list_and_is_tried_sooner(names: Names) -> None:
    """No empty list is told; the tries come after 1, 2, 4 … 30 s."""
    async with opened("db:5432") as (_, updates):
        assert await quiet_for(updates, 62)
    gaps = [round(later - earlier) for earlier, later in itertools.pairwise(names.asked)]
    assert gaps == [1, 2, 4, 8, 16, 30]


async def test_a_doubted_name_is_resolved_each_second(names: Names) -> None:
    """Until the doubt is withdrawn."""
    names.known["db"] = ["10.0.0.1"]
    async with opened("db:5432") as (source, updates):
        await addresses(updates)
        source.doubt(["orders"])
        for _ in range(3):
            await addresses(updates)
        assert names.asked[-1] - names.asked[0] < 4
        source.doubt([])
        await addresses(updates)
        assert await quiet_for(updates, 25)


async def test_iteration_ends_when_the_source_is_closed() -> None:
    """A reader is not left waiting, and no task is left behind."""
    source = StaticSource({"orders": ["10.0.0.1:1"]})
    updates = source.updates()
    await anext(updates)
    await source.close()
    assert [update async for update in updates] == []
    assert asyncio.all_tasks() == {asyncio.current_task()}
