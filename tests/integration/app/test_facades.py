"""The façade of a running sidecar: opened, changed and closed by its configuration."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from sidecar.embedded.registry import EmbeddedRegistry
from sidecar.embedded.tls import ServerTls
from tests.support.certificates import Authority
from tests.support.http_client import request
from tests.support.ports import free_port
from tests.support.sidecar_process import SidecarProcess, running
from tests.support.until import until
from tests.support.wire_client import WireClient

pytestmark = pytest.mark.own_process

TOP = "version: 1\nlisten: null\nadmin: {listen: 127.0.0.1:0}\naccess_log: {path: none}\ndrain: {quiet: 10ms}\n"


def text(registry: str, facade: str, listen: int) -> str:
    return (
        f"{TOP}facade: {facade}\nnacos: {{server_addresses: '{registry}'}}\n"
        f"services:\n  - name: orders\n    listen: 127.0.0.1:{listen}\n"
    )


async def server_info(process: SidecarProcess) -> list[dict[str, Any]]:
    listeners: list[dict[str, Any]] = json.loads((await process.admin("/server_info")).body)["listeners"]
    return listeners


async def reload(process: SidecarProcess, written: str) -> tuple[int, dict[str, Any]]:
    process.config.write_text(written)
    answer = await process.admin("/reload", method="POST")
    return answer.status, json.loads(answer.body)


async def test_a_reload_turns_it_on_changes_it_and_turns_it_off(tmp_path: Path) -> None:
    """What it lists changes under the clients that are connected; its two ports stand in /server_info while it is on."""
    own = free_port()
    async with EmbeddedRegistry(push_delay_s=0.01) as registry:
        registry.register("orders", "127.0.0.1", free_port())
        (there,) = registry.instances("orders")
        async with running(tmp_path, text(registry.address, "null", own), "--reload-poll", "0s") as process:
            await process.event("registry_connected")
            assert [one["name"] for one in await server_info(process)] == ["orders", "admin"]
            port = free_port((0, 1000))
            on = f"{{listen: '127.0.0.1:{port}'}}"
            status, body = await reload(process, text(registry.address, on, own))
            assert (status, body["changes"]) == (200, [{"op": "add", "path": "facade"}])
            assert [(one["name"], one["bound"]) for one in await server_info(process)][1:3] == [
                ("facade", f"127.0.0.1:{port}"),
                ("facade-grpc", f"127.0.0.1:{port + 1000}"),
            ]
            async with WireClient(port) as client:
                await client.set_up()
                assert await client.subscribe("orders") == [f"127.0.0.1:{there.port}"]
                assert await client.pushed() == [f"127.0.0.1:{there.port}"]
                sidecar = f"{{listen: '127.0.0.1:{port}', lists: sidecar}}"
                assert (await reload(process, text(registry.address, sidecar, own)))[0] == 200
                assert await client.pushed() == [f"127.0.0.1:{own}"]
                other = text(registry.address, sidecar, own).replace("name: orders", "name: stock")
                assert (await reload(process, other))[0] == 200
                assert await client.pushed() == [f"127.0.0.1:{there.port}"]
                assert (await reload(process, text(registry.address, "null", own)))[0] == 200
                await client.ended_with()

            async def refused() -> bool:
                with socket.socket() as one:
                    return one.connect_ex(("127.0.0.1", port)) != 0

            await until(refused)


async def test_a_port_that_is_taken_changes_nothing(tmp_path: Path) -> None:
    """Neither the façade's nor any other listener's, and the answer names the key."""
    own, other, port = free_port(), free_port(), free_port((0, 1000))
    async with running(tmp_path, text("127.0.0.1:1", "null", own), "--reload-poll", "0s") as process:
        await process.event("listening")
        with socket.create_server(("127.0.0.1", port + 1000)):
            wanted = text("127.0.0.1:1", f"{{listen: '127.0.0.1:{port}'}}", other)
            status, body = await reload(process, wanted)
        assert status == 409
        assert "facade.listen" in json.dumps(body)
        assert [(one["name"], one["bound"]) for one in await server_info(process)][:1] == [
            ("orders", f"127.0.0.1:{own}")
        ]


async def test_the_grpc_port_cannot_move_alone(tmp_path: Path) -> None:
    """The HTTP port is in use until the new pair is open: refused, and the façade goes on as it was."""
    own, port = free_port(), free_port((0, 1000))
    on = f"listen: '127.0.0.1:{port}'"
    async with running(tmp_path, text("127.0.0.1:1", f"{{{on}}}", own), "--reload-poll", "0s") as process:
        await process.event("listening")
        status, body = await reload(process, text("127.0.0.1:1", f"{{{on}, grpc_port_offset: 1001}}", own))
        assert (status, body["problems"][0]["path"]) == (409, "facade.listen")
        assert await process.bound("facade-grpc") == port + 1000


async def test_other_servers_are_followed(tmp_path: Path) -> None:
    """The façade stands for those of the configuration in force."""
    own = free_port()
    facade = "{listen: '127.0.0.1:0'}"
    async with (
        EmbeddedRegistry() as one,
        EmbeddedRegistry() as other,
        running(tmp_path, text(one.address, facade, own), "--reload-poll", "0s") as process,
    ):
        port = await process.bound("facade")
        assert (await request(port, path="/nacos/v3/admin/core/state/liveness")).status == 200
        assert (await reload(process, text(other.address, facade, own)))[0] == 200
        async with WireClient(port) as client:
            await client.set_up()
            assert "Test-Client:v1" in [connection.version for connection in other.connections]


async def test_a_drain_waits_for_the_apps_connections(tmp_path: Path) -> None:
    """An app that stops beside us takes its registration back through us."""
    facade = "{listen: '127.0.0.1:0'}"
    async with (
        EmbeddedRegistry() as registry,
        running(tmp_path, text(registry.address, facade, free_port())) as process,
    ):
        async with WireClient(await process.bound("facade")) as client:
            await client.set_up()
            await process.admin("/quitquitquit", method="POST")
            await process.event("drain_started")
            instance = {"ip": "10.0.0.1", "port": 1}
            kind, _ = await client.ask("InstanceRequest", serviceName="m", type="registerInstance", instance=instance)
            assert kind == "InstanceResponse"
            assert process.child.exit_code is None

        async def ended() -> bool:
            return process.child.exit_code == 0

        await until(ended)


@pytest.mark.parametrize("http", [True, False], ids=["both ports", "gRPC alone"])
async def test_servers_are_spoken_to_in_tls_and_the_app_plainly(tmp_path: Path, http: bool) -> None:  # noqa: FBT001 - a switch of the file
    """As the registry's section says: over gRPC, and over HTTP where that has it, with a certificate of ours."""
    authority = Authority(tmp_path)
    theirs, ours = authority.issue("127.0.0.1"), authority.issue("sidecar")
    tls = f"{{ca_file: {authority.file}, cert_file: {ours.cert_file}, key_file: {ours.key_file}, http: {str(http).lower()}}}"
    own = ServerTls(theirs.cert_file, theirs.key_file, authority.file, http=http)
    async with EmbeddedRegistry(tls=own) as registry:
        wanted = text(registry.address, "{listen: '127.0.0.1:0'}", free_port())
        wanted = wanted.replace(f"'{registry.address}'", f"'{registry.address}', tls: {tls}")
        async with running(tmp_path, wanted) as process:
            port = await process.bound("facade")
            assert (await request(port, path="/nacos/v3/admin/core/state/liveness")).status == 200
            async with WireClient(port) as client:
                await client.set_up()
                assert "Test-Client:v1" in [connection.version for connection in registry.connections]


async def test_files_that_will_not_do_are_no_crash(tmp_path: Path) -> None:
    """Without TLS that works there is no server: checks are answered, requests fail."""
    async with EmbeddedRegistry() as registry:
        wanted = text(registry.address, "{listen: '127.0.0.1:0'}", free_port())
        wanted = wanted.replace(f"'{registry.address}'", f"'{registry.address}', tls: {{ca_file: nowhere.pem}}")
        async with running(tmp_path, wanted) as process:
            port = await process.bound("facade")
            assert (await request(port, path="/nacos/v3/admin/core/state/liveness")).status == 503
            async with WireClient(port) as client:
                assert (await client.ask("ServerCheckRequest"))[0] == "ServerCheckResponse"
            assert process.events("crash") == []
