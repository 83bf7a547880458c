"""Claims about one running sidecar, as a user sees it: a real process, real sockets."""

import asyncio
import contextlib
import json
import signal
import socket
from collections.abc import Sequence
from pathlib import Path

import pytest

from sidecar.app.listeners import SHARED
from sidecar.app.reloading import Reloader
from sidecar.app.sidecar import Sidecar
from sidecar.config import load
from sidecar.embedded.faults import EndStreams
from sidecar.embedded.registry import EmbeddedRegistry
from sidecar.telemetry.logs import EventLog
from tests.support.http_client import request
from tests.support.ports import free_port
from tests.support.providers import Provider, providers
from tests.support.scripted_peer import OK, ScriptedPeer, Talk, connected
from tests.support.sidecar_process import SidecarProcess, running
from tests.support.stack import ask, begin
from tests.support.until import until

pytestmark = pytest.mark.own_process

TOP = "version: 1\nlisten: null\nadmin: {listen: 127.0.0.1:0}\naccess_log: {path: access.log, format: json}\n"

PATIENT = "    wait_for_instance: {timeout: 60s}\n"
"""More of a service: a call waits as long as a busy machine takes to bring its instance back."""

AGE = 'sidecar_registry_snapshot_age_seconds{service="orders"}'


def static(*addresses: str, more: str = "") -> str:
    """One service on a port of its own, with fixed instances."""
    listed = ", ".join(f'"{address}"' for address in addresses)
    return f"{TOP}services:\n  - name: orders\n    listen: 127.0.0.1:0\n    discovery: {{static: [{listed}]}}\n{more}"


def registered(registry: str, more: str = "", snapshots: str = "null") -> str:
    """One service on a port of its own, found in a registry."""
    return (
        f"{TOP}nacos: {{server_addresses: '{registry}', snapshot_dir: {snapshots}}}\n"
        f"services:\n  - name: orders\n    listen: 127.0.0.1:0\n{more}"
    )


async def answered_by(process: SidecarProcess, *, method: str = "GET", body: bytes = b"", name: str = "orders") -> str:
    """The port of the provider that answered; the status must be 200."""
    answer = await request(await process.bound(name), method, "/", body=body)
    assert answer.status == 200, (answer.status, answer.headers, answer.body)
    return answer.body.decode()


def access_log(process: SidecarProcess) -> list[dict[str, object]]:
    """Its whole lines so far."""
    whole, _, _ = (process.folder / "access.log").read_text().rpartition("\n")
    return [json.loads(line) for line in whole.splitlines()]


async def test_it_carries_calls_and_tells_of_them(tmp_path: Path) -> None:
    """A call through the service's port reaches an instance; access log and metrics count exactly that call."""
    async with providers(1) as (provider,), running(tmp_path, static(provider.address)) as process:
        await process.ready()
        assert await answered_by(process) == str(provider.port)
        series = 'sidecar_requests_total{service="orders",code="200",flags="-"}'
        assert await process.metric(series) == 1

        async def logged() -> bool:
            return len(access_log(process)) == 1

        await until(logged)
        (line,) = access_log(process)
        assert (line["upstream_host"], line["response_code"]) == (provider.address, 200)


@pytest.mark.scenario("S-02")
async def test_refusing_instances_cost_no_call_of_any_method(tmp_path: Path) -> None:
    """With one of two instances down, GET and a 3 MB POST are all answered, and the dead one is quarantined at once."""
    dead = f"127.0.0.1:{free_port()}"
    async with providers(1) as (provider,), running(tmp_path, static(provider.address, dead)) as process:
        await process.ready()
        while not process.events("endpoint_quarantined"):  # chance decides which call meets it
            assert await answered_by(process) == str(provider.port)
            assert await answered_by(process, method="POST", body=b"x" * 3_000_000) == str(provider.port)
        states = {one["address"]: one["state"] for one in (await process.clusters())[0]["endpoints"]}
        assert states == {provider.address: "available", dead: "quarantined"}


async def test_a_restart_of_the_only_instance_is_waited_for(tmp_path: Path) -> None:
    """A call that arrives while the single replica is away is answered when it is back, and counted as rescued."""
    async with providers(1) as (provider,), running(tmp_path, static(provider.address, more=PATIENT)) as process:
        await process.ready()
        await answered_by(process)
        await provider.stop()
        waiting = asyncio.ensure_future(answered_by(process, method="POST", body=b"order"))  # noqa: TID251
        await process.event("endpoint_quarantined")
        await provider.start()
        assert await waiting == str(provider.port)
        assert (
            await process.metric('sidecar_rescued_requests_total{service="orders",by="wait"}')
            + await process.metric('sidecar_rescued_requests_total{service="orders",by="retry"}')
            == 1
        )


async def test_the_shared_listener_routes_by_host(tmp_path: Path) -> None:
    """The Host names the service; an unknown one is refused with a reason, never sent anywhere."""
    async with providers(2) as (orders, stock):
        text = (
            TOP.replace("listen: null", "listen: 127.0.0.1:0")
            + f"services:\n  - {{name: orders, discovery: {{static: ['{orders.address}']}}}}\n"
            + f"  - {{name: stock, discovery: {{static: ['{stock.address}']}}}}\n"
        )
        async with running(tmp_path, text) as process:
            await process.ready()
            port = await process.bound("shared")
            for name, provider in (("orders", orders), ("STOCK:80", stock)):
                assert (await request(port, headers={"Host": name})).body.decode() == str(provider.port)
            answer = await request(port, headers={"Host": "unknown"})
            assert (answer.status, answer.headers["x-sidecar-error"]) == (502, "NR no_service attempts=0")


async def test_addresses_are_remembered_over_a_restart(tmp_path: Path) -> None:
    """An app that calls an instance which left is answered by another, by a sidecar that never saw it, too.

    Until a reload ends the memory; what is nobody's is refused, or sent on.
    """
    async with EmbeddedRegistry(port=0) as registry, providers(3) as (first, second, stranger):
        for provider in (first, second):
            registry.register("orders", "127.0.0.1", provider.port)
        text = registered(registry.address, snapshots="lists").replace("listen: null", "listen: 127.0.0.1:0")

        async def called(process: SidecarProcess, provider: Provider) -> tuple[int, str]:
            answer = await request(await process.bound("shared"), path=f"http://{provider.address}/")
            return answer.status, answer.body.decode()

        async with running(tmp_path, text) as process:
            await process.ready()
            assert await called(process, first) == (200, str(first.port))
            registry.deregister("orders", "127.0.0.1", first.port)
            await first.stop()
            await _until_endpoints(process, [second])
            assert await called(process, first) == (200, str(second.port))
        (tmp_path / "lists" / "orders.json").unlink()  # on which it may stand still: it was held for a moment
        async with running(tmp_path, text) as process:
            await process.ready()
            assert await called(process, first) == (200, str(second.port))
            (orders,) = await process.clusters()
            assert orders["by_address"] == {"requests": 1, "remembered": 1}
            assert (await called(process, stranger))[0] == 502
            process.config.write_text(f"unmatched: forward\naddress_memory: 0s\n{text}")
            assert (await process.admin("/reload", method="POST")).status == 200
            assert await called(process, stranger) == (200, str(stranger.port))
            assert (await called(process, first))[0] == 503
            series = 'sidecar_requests_total{service="-",code="%s",flags="%s"}'
            assert await process.metric(series % (200, "-")) == 1
            assert await process.metric(series % (503, "UF")) == 1


async def test_registry_lists_are_followed(tmp_path: Path) -> None:
    """Instances that register are used, and those that deregister and stop are forgotten, without a lost call."""
    async with EmbeddedRegistry(port=0) as registry, providers(2) as (first, second):
        registry.register("orders", "127.0.0.1", first.port)
        async with running(tmp_path, registered(registry.address)) as process:
            await process.ready()
            assert await answered_by(process) == str(first.port)
            registry.register("orders", "127.0.0.1", second.port)
            await _until_endpoints(process, [first, second])
            registry.deregister("orders", "127.0.0.1", first.port)
            await first.stop()
            await _until_endpoints(process, [second])
            assert await answered_by(process) == str(second.port)


async def test_a_call_that_waits_for_the_first_instance_is_carried_as_soon_as_it_is_there(tmp_path: Path) -> None:
    """It is the first one ever, so nothing else than the list tells of it."""
    async with (
        EmbeddedRegistry(port=0) as registry,
        providers(1) as (provider,),
        running(tmp_path, registered(registry.address, PATIENT)) as process,
    ):
        await process.event("registry_connected")
        waiting = begin(answered_by(process))

        async def is_waiting() -> bool:
            return await process.metric('sidecar_waiting_requests{service="orders"}') == 1

        await until(is_waiting)
        await asyncio.sleep(0.2)  # the beat that looks for whom somebody waits is over
        registry.register("orders", "127.0.0.1", provider.port)
        assert await waiting == str(provider.port)


@pytest.mark.scenario("S-05")
async def test_a_false_empty_list_changes_nothing(tmp_path: Path) -> None:
    """When the registry claims that nobody is left, the living instance serves on, visibly held."""
    async with EmbeddedRegistry(port=0) as registry, providers(1) as (provider,):
        registry.register("orders", "127.0.0.1", provider.port)
        async with running(tmp_path, registered(registry.address)) as process:
            await process.ready()
            registry.deregister("orders", "127.0.0.1", provider.port)
            await process.event("push_refused")
            assert await answered_by(process) == str(provider.port)
            (cluster,) = await process.clusters()
            assert cluster["protection"]["why"] == "empty"
            assert [one["state"] for one in cluster["endpoints"]] == ["held"]
            assert await process.metric('sidecar_rescued_requests_total{service="orders",by="guard"}') == 1


@pytest.mark.scenario("S-19")
async def test_it_starts_from_disk_when_the_registry_is_down(tmp_path: Path) -> None:
    """The lists of an earlier run serve at once; with the registry back, its list takes over."""
    async with EmbeddedRegistry(port=0) as registry, providers(1) as (provider,):
        registry.register("orders", "127.0.0.1", provider.port)
        text = registered(registry.address, snapshots="lists")
        async with running(tmp_path, text) as process:
            await process.ready()

            async def kept() -> bool:
                return (tmp_path / "lists" / "orders.json").exists()

            await until(kept)
        await registry.stop()
        async with running(tmp_path, text) as process:
            await process.ready()
            assert await answered_by(process) == str(provider.port)
            assert (await process.clusters())[0]["discovery"]["origin"] == "disk"
            await registry.start()

            async def healed() -> bool:
                return str((await process.clusters())[0]["discovery"]["origin"]) == "nacos"

            await until(healed)
            assert await answered_by(process) == str(provider.port)


@pytest.mark.scenario("S-20")
async def test_providers_restart_on_their_addresses_while_the_registry_is_away(tmp_path: Path) -> None:
    """Every call in between is answered, and the age of the list says for how long the registry has been silent."""
    async with EmbeddedRegistry(port=0) as registry, providers(2) as pair:
        for provider in pair:
            registry.register("orders", "127.0.0.1", provider.port)
        async with running(tmp_path, registered(registry.address)) as process:
            await process.ready()
            await _until_endpoints(process, pair)
            await registry.stop()
            await process.event("registry_disconnected")
            silent = await process.metric(AGE)
            for provider, other in (pair, reversed(pair)):
                await provider.stop()
                for _ in range(5):
                    assert await answered_by(process) == str(other.port)
                await provider.start()
                await _until_endpoints(process, pair)
            assert await process.metric(AGE) > silent
            assert await process.metric("sidecar_registry_connected") == 0


async def test_what_the_client_library_costs_us_is_counted(tmp_path: Path) -> None:
    """Sessions begun anew with the reason, tasks of its that had to be ended, queries, and the age of each list."""
    async with EmbeddedRegistry(port=0) as registry, providers(1) as (provider,):
        registry.register("orders", "127.0.0.1", provider.port)
        async with running(tmp_path, registered(registry.address)) as process:
            await process.ready()
            await registry.apply(EndStreams())
            await process.event("registry_connected", count=2)
            assert await process.metric('sidecar_registry_reconnects_total{reason="stream_end"}') == 1

            async def counted() -> bool:
                ended = await process.metric("sidecar_registry_tasks_cancelled_total")
                asked = await process.metric('sidecar_registry_queries_total{result="ok"}')
                return ended > 0 and asked > 0

            await until(counted)
            assert f"{AGE} " in (await process.admin("/metrics")).body.decode()


async def test_without_disk_and_registry_it_comes_up_unready_and_heals(tmp_path: Path) -> None:
    """/readyz names the service that has no list; a call is answered 503 with the reason; both heal by themselves."""
    async with EmbeddedRegistry(port=0) as registry, providers(1) as (provider,):
        registry.register("orders", "127.0.0.1", provider.port)
        await registry.stop()
        more = "    wait_for_instance: {timeout: 200ms}\n"
        async with running(tmp_path, registered(registry.address, more)) as process:
            answer = await process.admin("/readyz?verbose")
            assert answer.status == 503
            assert b"[-] service/orders: no instance list yet" in answer.body
            answer = await request(await process.bound("orders"))
            assert answer.status == 503
            assert answer.headers["x-sidecar-error"].startswith("UH no_instance")
            await registry.start()
            await process.ready()

            async def served() -> bool:
                return (await request(await process.bound("orders"))).status == 200

            await until(served)


async def test_drain_serves_until_the_app_is_gone(tmp_path: Path) -> None:
    """After SIGTERM readiness is off, calls are answered all the same, and the process ends when the app is quiet."""
    text = "drain: {quiet: 500ms, timeout: 60s}\n"
    async with providers(1) as (provider,), running(tmp_path, text + static(provider.address)) as process:
        await process.ready()
        reader, writer = await asyncio.open_connection("127.0.0.1", await process.bound("orders"))
        process.child.signal(signal.SIGTERM)
        await process.event("drain_started")
        assert (await process.admin("/readyz")).status == 503
        assert await answered_by(process) == str(provider.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: orders\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        assert b"connection: close" not in head.lower()
        writer.close()
        assert await process.child.ended() == 0
        assert (await process.event("drain_ended"))["cut"] == 0


async def test_drain_has_a_hard_end(tmp_path: Path) -> None:
    """A request that outlives `drain.timeout` is cut and counted; the exit code is 0 all the same."""
    text = "drain: {quiet: 100ms, timeout: 600ms}\n"
    async with providers(1, delay=30.0) as (provider,), running(tmp_path, text + static(provider.address)) as process:
        await process.ready()
        _, writer = await asyncio.open_connection("127.0.0.1", await process.bound("orders"))
        writer.write(b"GET / HTTP/1.1\r\nHost: orders\r\n\r\n")

        async def in_flight() -> bool:
            return await process.metric('sidecar_requests_in_flight{service="orders"}') == 1

        await until(in_flight)
        process.child.signal(signal.SIGTERM)
        assert await process.child.ended() == 0
        assert (await process.event("drain_ended"))["cut"] == 1
        writer.close()


async def test_a_reload_swaps_instances_and_cuts_nothing(tmp_path: Path) -> None:
    """A call in flight ends under the old configuration, the next one goes by the new one, on the same connection."""
    go = asyncio.Event()

    async def slow(talk: Talk) -> None:
        await talk.request()
        await go.wait()
        await talk.send(OK)

    async with ScriptedPeer(slow) as old, providers(1) as (new,):
        port = free_port()
        text = static(old.address).replace("    listen: 127.0.0.1:0", f"    listen: 127.0.0.1:{port}")
        async with running(tmp_path, text, "--reload-poll", "0s") as process:
            await process.ready()
            in_flight = asyncio.ensure_future(request(port))  # noqa: TID251

            async def begun() -> bool:
                return bool(old.requests)

            await until(begun)
            process.config.write_text(text.replace(old.address, new.address))
            process.child.signal(signal.SIGHUP)
            await process.event("reload_applied")
            go.set()
            assert (await in_flight).body == b"ok"
            assert (await request(port)).body.decode() == str(new.port)


async def test_a_kept_connection_follows_its_service_when_the_port_is_gone(tmp_path: Path) -> None:
    """To a new port and new instances, and back; when the service is gone the next request is refused, and only then."""
    async with providers(2) as (old, new), contextlib.AsyncExitStack() as stack:
        ports = [free_port(), free_port()]
        texts = [
            static(provider.address).replace("    listen: 127.0.0.1:0", f"    listen: 127.0.0.1:{port}")
            for provider, port in zip((old, new), ports, strict=True)
        ]
        process = await stack.enter_async_context(running(tmp_path, texts[0], "--reload-poll", "0s"))
        await process.ready()
        app = await stack.enter_async_context(connected(ports[0]))

        async def reload(text: str) -> None:
            process.config.write_text(text)
            assert (await process.admin("/reload", method="POST")).status == 200

        assert (await ask(app)).body.decode() == str(old.port)
        await reload(texts[1])
        with pytest.raises(ConnectionRefusedError):
            await request(ports[0])
        for text, provider in ((texts[1], new), (texts[0], old), (texts[1], new)):
            await reload(text)
            assert (await ask(app)).body.decode() == str(provider.port)
        await reload(texts[0].replace("orders", "others"))
        answer = await ask(app)
        assert (answer.status, answer.error) == (502, "NR no_service attempts=0")
        assert await app.until_closed() == b""


async def test_a_request_that_must_wait_after_a_reload_is_still_served(tmp_path: Path) -> None:
    """In flight at the reload, its instance dies afterwards and comes back: the request is answered."""
    die = asyncio.Event()

    async def dying(talk: Talk) -> None:
        await talk.request()
        await die.wait()
        talk.close()

    peer = ScriptedPeer(dying)
    await peer.open()
    async with running(tmp_path, static(peer.address, more=PATIENT), "--reload-poll", "0s") as process:
        await process.ready()
        port = await process.bound("orders")
        in_flight = asyncio.ensure_future(request(port))  # noqa: TID251

        async def begun() -> bool:
            return bool(peer.requests)

        await until(begun)
        process.config.write_text(static(peer.address, more=PATIENT + "    via: true\n"))
        process.child.signal(signal.SIGHUP)
        await process.event("reload_applied")
        peer.stop_listening()
        die.set()
        await process.event("endpoint_quarantined")
        back = await Provider(int(peer.address.rpartition(":")[2])).start()
        assert (await in_flight).status == 200
        await back.stop()
    await peer.close()


async def test_a_refused_reload_keeps_everything(tmp_path: Path) -> None:
    """An invalid file, or a port that is taken, leaves the old configuration serving, and says why."""
    taken = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    address = f"127.0.0.1:{taken.sockets[0].getsockname()[1]}"
    manual = ("--reload-poll", "0s")
    async with providers(1) as (provider,), running(tmp_path, static(provider.address), *manual) as process:
        await process.ready()
        good = process.config.read_text()
        process.config.write_text(good + "nonsense: 1\n")
        answer = await process.admin("/reload", method="POST")
        assert answer.status == 400
        assert "unknown key 'nonsense'" in json.loads(answer.body)["problems"][0]["message"]
        process.config.write_text(good.replace("listen: null", f"listen: {address}"))
        answer = await process.admin("/reload", method="POST")
        assert answer.status == 409
        assert f"cannot bind {address} for shared" in json.loads(answer.body)["problems"][0]["message"]
        assert await answered_by(process) == str(provider.port)
        assert await process.metric("sidecar_config_last_reload_successful") == 0
        before = process.open_files("other.log")
        process.config.write_text(process.config.read_text().replace("access.log", "other.log"))
        for _ in range(5):
            assert (await process.admin("/reload", method="POST")).status == 409

        async def let_go() -> bool:
            return process.open_files("other.log") == before == 0

        await until(let_go)
    taken.close()


async def test_a_reload_that_fails_in_whatever_way_keeps_nothing_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A port that was bound for it is free again, and so is its log: what is in force is the whole old configuration."""
    monkeypatch.setattr(EventLog, "install", lambda _: None)  # in this process the log is the tests' own
    path, wanted = tmp_path / "sidecar.yaml", free_port()
    path.write_text(static("127.0.0.1:9"))
    sidecar = Sidecar(load(path, environ={}), Reloader(lambda: load(path, environ={}), poll=0.0), loop_name="")
    await sidecar.start()
    path.write_text(static("127.0.0.1:9").replace("listen: null", f"listen: 127.0.0.1:{wanted}"))

    async def broken(_: object) -> None:
        raise ImportError("no module named grpc")

    sidecar.facades.prepare = broken  # type: ignore[method-assign,assignment]
    with pytest.raises(ImportError):
        await sidecar.take(load(path, environ={}))
    socket.create_server(("127.0.0.1", wanted)).close()
    assert SHARED not in {listener.name for listener in sidecar.listeners}
    await sidecar.stop()


async def _until_endpoints(process: SidecarProcess, wanted: Sequence[Provider]) -> None:
    async def so() -> bool:
        (cluster,) = await process.clusters()
        states = {one["address"]: one["state"] for one in cluster["endpoints"]}
        return states == {one.address: "available" for one in wanted}

    await until(so)
