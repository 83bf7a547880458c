"""TLS to a real nginx that lets nobody in without a certificate, through a sidecar in a process of its own."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sidecar.embedded.registry import EmbeddedRegistry
from tests.support.certificates import Authority, Certificate
from tests.support.http_client import Answer, request
from tests.support.needs import find
from tests.support.ports import free_port
from tests.support.process import Child
from tests.support.sidecar_process import SidecarProcess, running
from tests.support.until import until

CONFIG = """\
version: 1
listen: null
admin: {{listen: 127.0.0.1:0}}
access_log: {{path: access.log, format: json}}
nacos: {{server_addresses: "{registry}"}}
services:
  - name: orders
    listen: 127.0.0.1:0
    tls: {{ca_file: ca.pem, cert_file: ours.pem, key_file: ours.key, server_name: orders.internal}}
    timeouts: {{connect: 30s}}
    wait_for_instance: {{timeout: 60s}}
"""

NGINX = """\
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log info;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} ssl;
        server_name orders.internal;
        ssl_certificate {own.cert_file};
        ssl_certificate_key {own.key_file};
        ssl_protocols {protocol};
        ssl_client_certificate {ca};
        ssl_verify_client on;
        location / {{ return 200 '$ssl_protocol $ssl_server_name $ssl_client_verify $connection'; }}
    }}
}}
"""


class Nginx:
    """One server; `protocol` in its own words."""

    def __init__(self, folder: Path, ca: Authority, own: Certificate, protocol: str) -> None:
        self.port = free_port()
        self.own = own
        self._folder = folder
        folder.mkdir()
        (folder / "nginx.conf").write_text(
            NGINX.format(folder=folder, port=self.port, own=own, ca=ca.file, protocol=protocol)
        )
        self.child = self._start()

    def _start(self) -> Child:
        command = [str(find("nginx")), "-p", str(self._folder), "-c", str(self._folder / "nginx.conf")]
        return Child(command, log=self._folder / "output.log")

    async def restart(self) -> None:
        """Stops in order, as a rolling update does, and begins anew."""
        self.child.signal(3)
        await self.child.ended()
        self.child = self._start()


@asynccontextmanager
async def setting(folder: Path, protocol: str) -> AsyncIterator[tuple[SidecarProcess, Authority, list[Nginx]]]:
    """Two servers, a registry that lists them, and a sidecar that is ready."""
    ca = Authority(folder)
    ours = ca.issue("sidecar")
    ours.cert_file.rename(folder / "ours.pem")
    ours.key_file.rename(folder / "ours.key")
    own = ca.issue("orders.internal")
    servers = [Nginx(folder / name, ca, own, protocol) for name in ("one", "two")]
    try:
        async with EmbeddedRegistry() as registry:
            for server in servers:
                registry.register("orders", "127.0.0.1", server.port)
            async with running(folder, CONFIG.format(registry=registry.address), "--reload-poll", "100ms") as sidecar:
                await sidecar.ready()
                yield sidecar, ca, servers
    finally:
        for server in servers:
            await server.child.terminate()


async def ask(sidecar: SidecarProcess, method: str = "GET") -> Answer:
    return await request(await sidecar.bound("orders"), method, "/", headers={"Host": "orders"})


@pytest.mark.needs("nginx")
@pytest.mark.parametrize("protocol", ["TLSv1.2", "TLSv1.3"])
@pytest.mark.own_process
async def test_an_nginx_that_asks_for_a_certificate(tmp_path: Path, protocol: str) -> None:
    """It learns our name, one connection serves many calls, and its restart costs none."""
    async with setting(tmp_path, protocol) as (sidecar, _, servers):
        said = [(await ask(sidecar)).body.decode().rpartition(" ") for _ in range(12)]
        assert {facts for facts, _, _ in said} == {f"{protocol} orders.internal SUCCESS"}
        assert len({connection for _, _, connection in said}) <= 4  # two servers, each with a number 1 of its own
        for server in servers:
            await server.restart()
            assert {(await ask(sidecar, method)).status for method in ("GET", "POST") * 5} == {200}


@pytest.mark.needs("nginx")
@pytest.mark.own_process
async def test_an_authority_that_is_replaced_needs_no_restart(tmp_path: Path) -> None:
    """The servers' certificates come from another one: calls wait, the event says why, and a new file ends it."""
    async with setting(tmp_path, "TLSv1.3") as (sidecar, _, servers):
        assert (await ask(sidecar)).status == 200
        other = Authority(tmp_path, "other")
        new = other.issue("orders.internal")
        shutil.copy(new.cert_file, servers[0].own.cert_file)
        shutil.copy(new.key_file, servers[0].own.key_file)
        for server in servers:
            await server.restart()
        asking = asyncio.get_running_loop().create_task(ask(sidecar, "POST"))

        async def told() -> bool:
            events = sidecar.events("endpoint_quarantined")
            return any("name that one in tls.ca_file" in event.get("cause", "") for event in events)

        await until(told)
        assert not asking.done()
        shutil.copy(other.file, tmp_path / "ca.pem")
        assert (await asking).status == 200
        assert any("certificates read anew" in line for line in sidecar.child.output().splitlines())


@pytest.mark.own_process
async def test_certificates_that_will_not_do_are_refused_at_the_start_and_at_a_reload(tmp_path: Path) -> None:
    """Exit 78 with the place in the YAML; a reload keeps what is in force."""
    text = (
        "version: 1\nlisten: null\nadmin: {listen: 127.0.0.1:0}\nservices:\n"
        "  - {name: orders, listen: 127.0.0.1:0, discovery: {static: [127.0.0.1:1]}, tls: {ca_file: ca.pem}}\n"
    )
    problem = f"5:92: services[0].tls.ca_file: {tmp_path}/ca.pem: "
    async with running(tmp_path, text) as sidecar:
        assert await sidecar.child.ended() == 78
        assert f"{problem}cannot be read: No such file or directory" in sidecar.child.output()
    authority = Authority(tmp_path)
    async with running(tmp_path, text) as sidecar:
        await sidecar.ready()
        authority.file.write_text("odd")
        refused = await sidecar.admin("/reload", method="POST")
        assert refused.status == 400
        assert b"no certificates in PEM form" in refused.body
        assert (await sidecar.admin("/readyz")).status == 200
