"""nginx with one worker: as a proxy to compare with, and as a server of any other kind."""

import os
import re
import signal
from collections.abc import Sequence
from pathlib import Path

from tests.peers.peer import SERVICE, Services, Terms
from tests.support import cpu
from tests.support.needs import find
from tests.support.ports import free_port
from tests.support.process import Child, run
from tests.support.until import until

_COMMON = """\
daemon off;
{user}
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 16384; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_requests 1000000000;
    {inside}
}}
"""

_BACKEND = """
    server {{
        listen 127.0.0.1:{port};
        location / {{ default_type application/json; return 200 '{body}'; }}
    }}
"""

_PROXY = """
    {upstreams}
    map $http_host $service {{
        default {first};
        {routes}
    }}
    map $http_x_request_id $call_id {{
        default $http_x_request_id;
        "" $request_id;
    }}
    server {{
        listen 127.0.0.1:{admin};
        location = /metrics {{ stub_status; }}
    }}
    server {{
        listen 127.0.0.1:{port};
        keepalive_timeout 3600s;
        client_max_body_size 0;
        location / {{
            proxy_pass http://{to};
            proxy_http_version 1.1;
            proxy_set_header X-Request-ID $call_id;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_connect_timeout {connect:.0f}s;
            proxy_read_timeout {answer:.0f}s;
            proxy_next_upstream error timeout {failures};
        }}
    }}
"""

_UPSTREAM = """
    upstream {service} {{
        least_conn;
        {servers}
        keepalive {kept};
        keepalive_timeout {idle:.0f}s;
        keepalive_requests 1000000000;
    }}
"""

_RELAY = """\
load_module {module};
daemon off;
worker_processes 1;
pid {{folder}}/pid;
error_log {{folder}}/error.log;
events {{{{ worker_connections 16384; }}}}
stream {{{{
    upstream instances {{{{
        least_conn;
        {servers}
    }}}}
    server {{{{
        listen 127.0.0.1:{port};
        proxy_pass instances;
        proxy_connect_timeout {connect:.0f}s;
    }}}}
}}}}
"""

RELAY_MODULE = Path("/usr/lib/nginx/modules/ngx_stream_module.so")
"""Relaying of connections; Debian has it in a package of its own."""

_BODY = '{"id":"0123456789","state":"delivered","note":"sixty bytes"}'


class Nginx:
    """One running server with this configuration inside `http`, on the core of its parent."""

    def __init__(self, inside: str, port: int, folder: Path, around: str = _COMMON) -> None:
        folder.mkdir()
        self._folder = folder
        self._around = around
        self.port = port
        self._write(inside)
        self._child = Child([str(find("nginx")), "-p", str(folder), "-c", str(self._config)], log=folder / "output.log")

    @property
    def pid(self) -> int:
        """Of the worker, which does all the work."""
        (worker,) = self.pids
        return worker

    @property
    def started(self) -> int:
        """The process that was started, which starts the workers."""
        return self._child.pid

    @property
    def pids(self) -> list[int]:
        """More than one while a reload has not come to its end."""
        return cpu.children(self._child.pid)

    async def ready(self) -> None:
        async def has_worker() -> bool:
            return len(self.pids) == 1

        await until(has_worker)

    async def reload(self, inside: str) -> None:
        """Returns when all that comes meets the new configuration; old workers end when their connections have."""
        before = set(self.pids)
        self._write(inside)
        self._child.signal(signal.SIGHUP)

        async def in_force() -> bool:
            return bool(set(self.pids) - before) and all(map(_accepts_no_more, before))

        await until(in_force, pause=0.01)

    async def close(self) -> None:
        await self._child.terminate()

    @property
    def _config(self) -> Path:
        return self._folder / "nginx.conf"

    def _write(self, inside: str) -> None:
        # Of root's workers the default user could not write long bodies to a folder of ours.
        user = "user root;" if os.geteuid() == 0 else ""
        self._config.write_text(self._around.format(user=user, folder=self._folder, inside=inside))


class NginxPeer:
    """nginx as the proxy."""

    name = "nginx"

    def __init__(self, services: Services, folder: Path, terms: Terms) -> None:
        self.version = version()
        self.port, admin = free_port(), free_port()
        self.scrape = (admin, "/metrics")
        self._terms = terms
        self._services = dict(services)
        if terms.relay:
            self._server = Nginx("", self.port, folder, self._relay())
        else:
            self._server = Nginx(self._inside(), self.port, folder)

    @property
    def pids(self) -> list[int]:
        return [self._server.started, *self._server.pids]

    async def ready(self) -> None:
        await self._server.ready()

    async def use(self, instances: Sequence[str], service: str = SERVICE) -> None:
        if instances:
            self._services[service] = instances
            await self._server.reload(self._inside())

    async def close(self) -> None:
        await self._server.close()

    def _inside(self) -> str:
        terms, names = self._terms, list(self._services)
        upstreams = (
            _UPSTREAM.format(service=name, servers=_servers(known), kept=max(128, 2 * len(known)), idle=terms.idle)
            for name, known in self._services.items()
        )
        return _PROXY.format(
            upstreams="".join(upstreams),
            first=names[0],
            routes=" ".join(f"{name} {name};" for name in names),
            to="$service" if len(names) > 1 else names[0],
            admin=self.scrape[0],
            port=self.port,
            connect=terms.connect,
            answer=terms.answer,
            failures=f"http_502 http_503 http_504{' http_500' if terms.repeat_500 else ''}",
        )

    def _relay(self) -> str:
        (instances,) = self._services.values()
        return _RELAY.format(
            module=RELAY_MODULE, servers=_servers(instances), port=self.port, connect=self._terms.connect
        )


def _servers(instances: Sequence[str]) -> str:
    return " ".join(f"server {instance} max_fails=1 fail_timeout=2s;" for instance in instances)


def _accepts_no_more(worker: int) -> bool:
    try:
        return b"shutting down" in Path(f"/proc/{worker}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return True


def version() -> str:
    """Such as `1.22.1`."""
    found = re.search(r"nginx/(\S+)", run(str(find("nginx")), "-v").stderr)
    return found[1] if found else ""


def backend(folder: Path) -> Nginx:
    """Answers everything with 60 bytes."""
    port = free_port()
    return Nginx(_BACKEND.format(port=port, body=_BODY), port, folder)
