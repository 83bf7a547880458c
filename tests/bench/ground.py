"""What stands behind the proxies: one nginx, on the core of the load, at as many loopback addresses as instances are asked for."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tests.peers.nginx import Nginx
from tests.support.ports import free_port

ECHO_MODULE = Path("/usr/lib/nginx/modules/ngx_http_echo_module.so")
"""Reads a body to its end before it answers, which nginx by itself does not; Debian's nginx-light brings it."""

BODY = b'{"id":"0123456789","state":"delivered","note":"sixty bytes"}'

_AROUND = """\
load_module {module};
daemon off;
{{user}}
worker_processes 1;
pid {{folder}}/pid;
error_log {{folder}}/error.log;
events {{{{ worker_connections 16384; }}}}
http {{{{
    access_log off;
    client_body_temp_path {{folder}}/temp;
    proxy_temp_path {{folder}}/temp;
    fastcgi_temp_path {{folder}}/temp;
    uwsgi_temp_path {{folder}}/temp;
    scgi_temp_path {{folder}}/temp;
    keepalive_requests 1000000000;
    keepalive_timeout 3600s;
    client_max_body_size 0;
    client_body_buffer_size 16m;
    sendfile on;
    open_file_cache max=16;
    {{inside}}
}}}}
"""

_INSIDE = """
    server {{
        listen {port} backlog=4096;
        default_type application/json;
        location / {{ return 200 '{body}'; }}
        location /bytes/ {{ root {root}; }}
        location /upload {{ echo_read_request_body; echo_exec @answer; }}
        location @answer {{ return 200 '{body}'; }}
    }}
"""

_FILES = {"16k": 16 * 1024, "1m": 1024 * 1024}
"""Below `/bytes/`."""


class Ground:
    """Instances that answer, and addresses at which nobody listens."""

    def __init__(self, server: Nginx) -> None:
        self.port = server.port
        self._closed = free_port()

    def instances(self, count: int, *, first: int = 1, refusing: int = 0) -> Sequence[str]:
        """So many different addresses; at the last `refusing` of them nobody listens."""
        ports = [self.port] * (count - refusing) + [self._closed] * refusing
        return [f"127.{1 + (first + n >> 8)}.{first + n & 255}.1:{port}" for n, port in enumerate(ports)]


@asynccontextmanager
async def ground(folder: Path) -> AsyncIterator[Ground]:
    """`/` answers 60 bytes, `/bytes/16k` and `/bytes/1m` as many as they say, `/upload` 60 bytes after the whole body."""
    port, files = free_port(), folder / "files" / "bytes"
    files.mkdir(parents=True)
    for name, size in _FILES.items():
        (files / name).write_bytes(bytes(size))
    inside = _INSIDE.format(port=port, body=BODY.decode(), root=files.parent)
    server = Nginx(inside, port, folder / "backend", _AROUND.format(module=ECHO_MODULE))
    try:
        await server.ready()
        yield Ground(server)
    finally:
        await server.close()
