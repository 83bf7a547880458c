"""A Java app that knows nothing of the sidecar but one flag of its JVM, and never refreshes its list of instances."""

import json
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from sidecar.embedded.faults import ForcedList
from sidecar.embedded.registry import EmbeddedRegistry
from tests.support.http_client import request
from tests.support.java_caller import TOOLS, Call, JavaCaller
from tests.support.plain_provider import PlainProvider, plain_providers
from tests.support.ports import free_port
from tests.support.registry_acts import join, leave
from tests.support.sidecar_process import SidecarProcess, running
from tests.support.until import until

pytestmark = [pytest.mark.needs(*TOOLS), pytest.mark.own_process]

CONFIG = """\
version: 1
listen: 127.0.0.1:{port}
unmatched: forward
admin: {{listen: 127.0.0.1:0}}
access_log: {{path: access.log, format: json}}
drain: {{timeout: 1s}}
nacos: {{server_addresses: "{registry}", snapshot_dir: lists}}
services: [{{name: orders, wait_for_instance: {{timeout: 60s}}}}]
"""


@pytest.fixture
async def registry() -> AsyncIterator[EmbeddedRegistry]:
    async with EmbeddedRegistry(push_delay_s=0.02) as running:
        yield running


@asynccontextmanager
async def in_front_of(registry: EmbeddedRegistry, folder: Path, port: int) -> AsyncIterator[SidecarProcess]:
    """A sidecar that is ready."""
    async with running(folder, CONFIG.format(port=port, registry=registry.address)) as sidecar:
        await sidecar.ready()
        yield sidecar


async def listed(sidecar: SidecarProcess, providers: Sequence[PlainProvider]) -> None:
    """Returns when the sidecar uses exactly these."""
    wanted = {provider.address: "available" for provider in providers}

    async def so() -> bool:
        (orders,) = await sidecar.clusters()
        return {one["address"]: one["state"] for one in orders["endpoints"]} == wanted

    await until(so)


def executed(providers: Iterable[PlainProvider]) -> Counter[str]:
    return Counter(line for provider in providers for line in provider.executed())


def answered(calls: Iterable[Call]) -> Counter[str]:
    return Counter(f"{call.method} {call.id}" for call in calls)


def failures(calls: Iterable[Call]) -> list[Call]:
    return [call for call in calls if call.status != 200]


async def by(sidecar: SidecarProcess, word: str, *, service: str = "orders") -> float:
    """How many calls were rescued in this way."""
    return await sidecar.metric(f'sidecar_rescued_requests_total{{service="{service}",by="{word}"}}')


async def test_an_app_with_a_list_of_the_past_loses_nothing(registry: EmbeddedRegistry, tmp_path: Path) -> None:
    """All three instances move to new ports, the sidecar restarts, the registry lies: through it no call fails.

    Both clients of the JVM, GETs and POSTs over kept connections; each call is executed once. Its twin, which calls the
    same list directly, loses nearly all of them.
    """
    port = free_port()
    async with AsyncExitStack() as stack:
        old = await stack.enter_async_context(plain_providers(tmp_path, 3))
        new = await stack.enter_async_context(plain_providers(tmp_path, 3))
        join(registry, old)
        addresses = [provider.address for provider in old]
        first = await stack.enter_async_context(in_front_of(registry, tmp_path, port))
        await listed(first, old)
        app = await stack.enter_async_context(JavaCaller("app", addresses, folder=tmp_path, through=port))
        twin = await stack.enter_async_context(JavaCaller("twin", addresses, folder=tmp_path))
        await app.goes_on()
        assert await by(first, "address") == 0
        assert not failures(twin.calls())

        for leaving, coming in zip(old, new, strict=True):
            join(registry, [coming])
            leave(registry, [leaving])
            await leaving.stop()
            await app.goes_on()
        await listed(first, new)
        await app.goes_on()
        assert await by(first, "address") > 0
        (orders,) = await first.clusters()
        assert orders["by_address"]["remembered"] == 3

        await app.pause()
        assert await first.child.terminate() == 0
        second = await stack.enter_async_context(in_front_of(registry, tmp_path, port))
        app.go()
        await app.goes_on()
        (orders,) = await second.clusters()
        assert orders["by_address"]["remembered"] == 3
        assert orders["by_address"]["requests"] >= 48

        await registry.apply(ForcedList("orders"))
        await second.event("push_refused")
        await app.goes_on()
        assert await by(second, "guard") > 0

        await app.pause()
        await twin.pause()
        assert failures(app.calls()) == []
        assert len(failures(twin.calls())) > 100
        mine = answered(app.calls())
        assert max(mine.values()) == 1
        assert mine == Counter({line: count for line, count in executed((*old, *new)).items() if line in mine})
        assert {call.client for call in app.calls()} == {"url", "http"}
        await _the_log_tells_it(tmp_path, addresses, new)


async def _the_log_tells_it(folder: Path, addresses: Sequence[str], new: Sequence[PlainProvider]) -> None:
    """Whom the app called, who answered, and that it was rescued."""
    serving = {provider.address for provider in new}

    def lines() -> list[dict[str, object]]:
        whole, _, _ = (folder / "access.log").read_text().rpartition("\n")
        found = (json.loads(line) for line in whole.splitlines())
        return [line for line in found if line["rescued_by"] == "address"]

    async def there() -> bool:
        return any(line["authority"] in addresses and line["upstream_host"] in serving for line in lines())

    await until(there)


async def test_the_flag_breaks_no_other_call(registry: EmbeddedRegistry, tmp_path: Path) -> None:
    """The same app also calls a server that is no service of ours, and a service's own port: both answer as before."""
    port, own = free_port(), free_port()
    async with AsyncExitStack() as stack:
        (orders,) = await stack.enter_async_context(plain_providers(tmp_path, 1))
        (other,) = await stack.enter_async_context(plain_providers(tmp_path, 1, name="other"))
        join(registry, [orders])
        text = CONFIG.format(port=port, registry=registry.address).replace(
            "name: orders,", f"name: orders, listen: '127.0.0.1:{own}',"
        )
        sidecar = await stack.enter_async_context(running(tmp_path, text))
        await sidecar.ready()
        called = [other.address, f"localhost:{other.port}", f"127.0.0.1:{own}"]
        app = await stack.enter_async_context(JavaCaller("app", called, folder=tmp_path, through=port))
        await app.goes_on()
        await app.pause()
        assert failures(app.calls()) == []
        names = {call.dialled: json.loads(call.body)["service"] for call in app.calls()}
        assert list(map(names.get, called)) == ["other", "other", "orders"]
        admin = await sidecar.bound("admin")
        answer = await request(port, path=f"http://127.0.0.1:{admin}/healthz")
        assert (answer.status, answer.headers["x-sidecar-error"]) == (502, "NR no_service attempts=0")


async def test_the_only_instance_moves(registry: EmbeddedRegistry, tmp_path: Path) -> None:
    """While nobody is left every call waits, and then goes to the new port; an empty list in between is true this time."""
    port = free_port()
    async with AsyncExitStack() as stack:
        (old,) = await stack.enter_async_context(plain_providers(tmp_path, 1))
        join(registry, [old])
        sidecar = await stack.enter_async_context(in_front_of(registry, tmp_path, port))
        app = await stack.enter_async_context(JavaCaller("app", [old.address], folder=tmp_path, through=port))
        leave(registry, [old])
        await old.stop()

        async def waiting() -> bool:
            return await sidecar.metric('sidecar_waiting_requests{service="orders"}') == 2

        await until(waiting)
        new = PlainProvider(tmp_path)
        stack.callback(new.end)
        await new.start()
        join(registry, [new])
        await app.goes_on()
        await app.pause()
        assert failures(app.calls()) == []
        assert max(executed((old, new)).values()) == 1
