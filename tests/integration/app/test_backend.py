"""Claims about what the admin port of a running sidecar shows and does."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from sidecar.embedded.registry import EmbeddedRegistry
from tests.integration.app.test_sidecar import PATIENT, answered_by, registered, static
from tests.support.ports import free_port
from tests.support.providers import providers
from tests.support.sidecar_process import SidecarProcess, running
from tests.support.until import until

pytestmark = pytest.mark.own_process


async def _json(process: SidecarProcess, path: str) -> Any:
    return json.loads((await process.admin(path)).body)


async def test_server_info_tells_listeners_as_bound(tmp_path: Path) -> None:
    """Port 0 shows as configured and as bound; the state is LIVE once ready; without a registry that part is null."""
    async with running(tmp_path, static("127.0.0.1:9")) as process:
        await process.ready()
        await process.event("ready")
        info = await _json(process, "/server_info")
        listeners = {one["name"]: (one["configured"], one["bound"]) for one in info["listeners"]}
        assert listeners == {
            "orders": ("127.0.0.1:0", f"127.0.0.1:{await process.bound('orders')}"),
            "admin": ("127.0.0.1:0", f"127.0.0.1:{await process.bound('admin')}"),
        }
        assert (info["state"], info["registry"], info["pid"]) == ("LIVE", None, process.child.pid)


async def test_server_info_follows_the_registry_session(tmp_path: Path) -> None:
    """Connected with the server's address, to a session that a reload replaced, too; gone with the server."""
    async with EmbeddedRegistry(port=0) as registry, running(tmp_path, registered(registry.address)) as process:
        await process.event("registry_connected")
        connected = (await _json(process, "/server_info"))["registry"]
        assert (connected["connected"], connected["server"]) == (True, registry.address)
        assert await process.metric("sidecar_registry_connected") == 1
        text = (process.folder / "sidecar.yaml").read_text()
        (process.folder / "sidecar.yaml").write_text(text.replace("nacos: {", "nacos: {app_name: other, ", 1))
        assert (await process.admin("/reload", method="POST")).status == 200

        async def replaced() -> bool:
            return await process.metric('sidecar_registry_reconnects_total{reason="config"}') == 1

        await until(replaced)
        assert await process.metric("sidecar_registry_connected") == 1
        await registry.stop()
        await process.event("registry_disconnected")
        gone = (await _json(process, "/server_info"))["registry"]
        assert not gone["connected"]
        assert gone["since"] > connected["since"]
        assert await process.metric("sidecar_registry_connected") == 0


async def test_config_dump_shows_what_is_in_force_and_where_it_came_from(tmp_path: Path) -> None:
    """Defaults are filled in, and a key that a variable overrides is named with that variable."""
    async with running(tmp_path, static("127.0.0.1:9"), environ={"SIDECAR_LOG_LEVEL": "debug"}) as process:
        dump = await _json(process, "/config_dump")
        assert dump["config"]["services"][0]["timeouts"]["connect"] == "1s"
        assert dump["config"]["logging"]["level"] == "debug"
        assert {"key": "logging.level", "from": "env", "name": "SIDECAR_LOG_LEVEL"} in dump["overrides"]
        assert dump["source"]["path"] == str(process.config)


async def test_drain_and_undrain_move_readiness_only(tmp_path: Path) -> None:
    """While drained by the operator calls are answered; undrain brings readiness back. Each is told of once."""
    async with providers(1) as (provider,), running(tmp_path, static(provider.address)) as process:
        await process.ready()
        answer = await process.admin("/drain", method="POST")
        assert json.loads(answer.body) == {"state": "DRAINING"}
        assert (await process.admin("/readyz")).status == 503
        assert await process.metric("sidecar_draining") == 1
        assert await answered_by(process) == str(provider.port)
        for _ in range(2):
            assert json.loads((await process.admin("/undrain", method="POST")).body) == {"state": "LIVE"}
        assert (await process.admin("/readyz")).status == 200
        told = [event["kind"] for event in (await _json(process, "/events"))["events"]]
        assert [kind for kind in told if kind.startswith("drain")] == ["drain_started", "drain_withdrawn"]


async def test_a_stopping_process_cannot_be_undrained(tmp_path: Path) -> None:
    """After /quitquitquit both calls are refused with 409."""
    async with running(tmp_path, "drain: {quiet: 60s, timeout: 120s}\n" + static("127.0.0.1:9")) as process:
        await process.ready()
        await process.admin("/quitquitquit", method="POST")
        await process.event("drain_started")
        for path in ("/drain", "/undrain"):
            assert (await process.admin(path, method="POST")).status == 409


async def test_events_are_numbered_and_can_be_followed(tmp_path: Path) -> None:
    """`since` continues where `next` ended; kind and service narrow the view."""
    dead = f"127.0.0.1:{free_port()}"
    async with providers(1) as (provider,), running(tmp_path, static(provider.address, dead)) as process:
        await process.ready()
        first = await _json(process, "/events")
        while not process.events("endpoint_quarantined"):
            await answered_by(process)
        later = await _json(process, f"/events?since={first['next']}&service=orders&kind=endpoint_quarantined")
        (event,) = later["events"]
        assert (event["endpoint"], event["detail"]["reason"]) == (dead, "refused")


async def _state_of(process: SidecarProcess, address: str) -> str:
    (cluster,) = await process.clusters()
    return next(str(one["state"]) for one in cluster["endpoints"] if one["address"] == address)


async def test_an_instance_can_be_taken_out_and_put_back_by_hand(tmp_path: Path) -> None:
    """Ejected, it gets no call; restored, it does; both are in the timeline."""
    async with providers(2) as (one, two), running(tmp_path, static(one.address, two.address)) as process:
        await process.ready()
        path = f"/services/orders/endpoints/{one.address}"
        ejected = await process.admin(f"{path}/eject?ttl=10m", method="POST")
        assert (ejected.status, json.loads(ejected.body)["state"]) == (200, "disabled")
        assert {await answered_by(process) for _ in range(20)} == {str(two.port)}
        restored = await process.admin(f"{path}/restore", method="POST")
        assert json.loads(restored.body)["state"] == "available"

        async def asked_again() -> bool:
            return await answered_by(process) == str(one.port)

        await until(asked_again, pause=0.0)  # it starts slowly: which call it gets is a matter of chance
        told = [event for event in process.events() if event["event"] in {"endpoint_ejected", "endpoint_restored"}]
        assert [(event["event"], event.get("reason"), event.get("by")) for event in told] == [
            ("endpoint_ejected", "operator", None),
            ("endpoint_restored", None, "operator"),
        ]


async def test_a_call_that_waits_is_served_as_soon_as_the_operator_restores(tmp_path: Path) -> None:
    """With the only instance taken out a call waits; restoring it answers that call."""
    async with providers(1) as (provider,), running(tmp_path, static(provider.address, more=PATIENT)) as process:
        await process.ready()
        path = f"/services/orders/endpoints/{provider.address}"
        await process.admin(f"{path}/eject", method="POST")
        waiting = asyncio.ensure_future(answered_by(process))  # noqa: TID251

        async def waits() -> bool:
            return await process.metric('sidecar_waiting_requests{service="orders"}') == 1

        await until(waits)
        await process.admin(f"{path}/restore", method="POST")
        assert await waiting == str(provider.port)


async def test_the_operator_ends_a_hold_at_once(tmp_path: Path) -> None:
    """A service that was emptied while its instance lives is held; drop now lets go of it, and then there is nothing."""
    async with EmbeddedRegistry(port=0) as registry, providers(1) as (provider,):
        registry.register("orders", "127.0.0.1", provider.port)
        async with running(tmp_path, registered(registry.address)) as process:
            await process.ready()
            registry.deregister("orders", "127.0.0.1", provider.port)
            ghost = await process.event("ghost")
            assert (ghost["endpoint"], ghost["proof"]) == (provider.address, "probe")
            assert await answered_by(process) == str(provider.port)
            dropped = await process.admin("/services/orders/obey", method="POST")
            assert json.loads(dropped.body) == {"dropped": [provider.address]}
            assert (await process.clusters())[0]["endpoints"] == []
            assert await process.metric('sidecar_registry_holds_ended_total{service="orders",by="obeyed"}') == 1
            assert (await process.admin("/services/orders/obey", method="POST")).status == 409


async def test_the_operator_keeps_what_a_plausible_list_would_drop(tmp_path: Path) -> None:
    """With all lists believed, a hold by hand keeps the one that is missing, and calls go there."""
    believing = "    protection: {shrink_threshold: 1.0, on_empty: obey}\n"
    async with EmbeddedRegistry(port=0) as registry, providers(2) as (one, two):
        for provider in (one, two):
            registry.register("orders", "127.0.0.1", provider.port)
        async with running(tmp_path, registered(registry.address, believing)) as process:
            await process.ready()
            held = await process.admin("/services/orders/hold?ttl=1h", method="POST")
            assert (held.status, json.loads(held.body)["active"]) == (200, False)
            registry.deregister("orders", "127.0.0.1", one.port)
            await process.event("push_refused")
            assert await _state_of(process, one.address) == "held"
            calls = [await answered_by(process) for _ in range(60)]
            assert set(calls) == {str(one.port), str(two.port)}


@pytest.mark.scenario("S-28")
async def test_a_listed_instance_that_refuses_is_a_zombie(tmp_path: Path) -> None:
    """Ten seconds after its first refused connect; once, with the evidence, and in the gauge."""
    dead = f"127.0.0.1:{free_port()}"
    async with providers(1) as (provider,), running(tmp_path, static(provider.address, dead)) as process:
        await process.ready()
        while not process.events("endpoint_quarantined"):
            await answered_by(process)
        zombie = await process.event("zombie")
        assert (zombie["endpoint"], zombie["reason"]) == (dead, "refused")
        assert zombie["refusing_s"] >= 10
        assert await process.metric('sidecar_registry_zombies{service="orders"}') == 1


async def test_the_status_page_shows_the_running_sidecar(tmp_path: Path) -> None:
    """Its listener as bound, its instance, the configuration's file."""
    async with providers(1) as (provider,), running(tmp_path, static(provider.address)) as process:
        await process.ready()
        page = (await process.admin("/")).body.decode()
        for shown in (f"127.0.0.1:{await process.bound('orders')}", provider.address, str(process.config)):
            assert shown in page


async def test_the_log_level_lasts_until_the_next_reload(tmp_path: Path) -> None:
    """POST /logging changes it now; a reload sets it back to what is configured."""
    async with running(tmp_path, static("127.0.0.1:9"), "--reload-poll", "0s") as process:
        await process.ready()
        await process.admin("/logging?level=error", method="POST")
        assert await _json(process, "/logging") == {"level": "error"}
        process.config.write_text(process.config.read_text() + "drain: {quiet: 2s}\n")
        assert (await process.admin("/reload", method="POST")).status == 200
        assert await _json(process, "/logging") == {"level": "info"}


async def test_the_time_of_the_configuration_moves_only_with_it(tmp_path: Path) -> None:
    """A reload that changes nothing succeeds and leaves it alone; one that is applied does not."""
    series = "sidecar_config_last_reload_success_timestamp_seconds"
    async with running(tmp_path, static("127.0.0.1:9"), "--reload-poll", "0s") as process:
        since = await process.metric(series)
        answer = await process.admin("/reload", method="POST")
        assert json.loads(answer.body)["result"] == "unchanged"
        assert await process.metric(series) == since
        process.config.write_text(process.config.read_text() + "drain: {quiet: 2s}\n")
        answer = await process.admin("/reload", method="POST")
        assert json.loads(answer.body)["result"] == "applied"
        assert await process.metric(series) > since
