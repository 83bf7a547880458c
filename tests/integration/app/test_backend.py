"""Claims about what the admin port of a running sidecar shows and does."""

import json
from pathlib import Path
from typing import Any

import pytest

from sidecar.embedded.registry import EmbeddedRegistry
from tests.integration.app.test_sidecar import answered_by, registered, static
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

        await until(replaced, within=10)
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
    """While drained by the operator calls are answered; undrain brings readiness back."""
    async with providers(1) as (provider,), running(tmp_path, static(provider.address)) as process:
        await process.ready()
        answer = await process.admin("/drain", method="POST")
        assert json.loads(answer.body) == {"state": "DRAINING"}
        assert (await process.admin("/readyz")).status == 503
        assert await process.metric("sidecar_draining") == 1
        assert await answered_by(process) == str(provider.port)
        assert json.loads((await process.admin("/undrain", method="POST")).body) == {"state": "LIVE"}
        assert (await process.admin("/readyz")).status == 200


async def test_a_stopping_process_cannot_be_undrained(tmp_path: Path) -> None:
    """After /quitquitquit both calls are refused with 409."""
    async with running(tmp_path, "drain: {quiet: 5s}\n" + static("127.0.0.1:9")) as process:
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
        for _ in range(4):
            await answered_by(process)
        await process.event("endpoint_quarantined")
        later = await _json(process, f"/events?since={first['next']}&service=orders&kind=endpoint_quarantined")
        (event,) = later["events"]
        assert (event["endpoint"], event["detail"]["reason"]) == (dead, "refused")


async def test_the_log_level_lasts_until_the_next_reload(tmp_path: Path) -> None:
    """POST /logging changes it now; a reload sets it back to what is configured."""
    async with running(tmp_path, static("127.0.0.1:9"), "--reload-poll", "0s") as process:
        await process.ready()
        await process.admin("/logging?level=error", method="POST")
        assert await _json(process, "/logging") == {"level": "error"}
        process.config.write_text(process.config.read_text() + "drain: {quiet: 2s}\n")
        assert (await process.admin("/reload", method="POST")).status == 200
        assert await _json(process, "/logging") == {"level": "info"}
