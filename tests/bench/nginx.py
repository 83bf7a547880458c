"""nginx with one worker, as the instance behind the proxies and as the proxy to compare with."""

from pathlib import Path

from tests.bench import cpu
from tests.support.needs import find
from tests.support.ports import free_port
from tests.support.process import Child
from tests.support.until import until

_COMMON = """\
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 1024; }}
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
    upstream backend {{ server 127.0.0.1:{backend}; keepalive 64; keepalive_requests 1000000000; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{ proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection ""; }}
    }}
"""

_BODY = '{"id":"0123456789","state":"delivered","note":"sixty bytes"}'


class Nginx:
    """One running server, on the core of its parent."""

    def __init__(self, inside: str, port: int, folder: Path) -> None:
        folder.mkdir()
        config = folder / "nginx.conf"
        config.write_text(_COMMON.format(folder=folder, inside=inside))
        self.port = port
        command = [str(find("nginx")), "-p", str(folder), "-c", str(config)]
        self._child = Child(command, log=folder / "output.log")

    @property
    def pid(self) -> int:
        """Of the worker, which does all the work."""
        (worker,) = cpu.children(self._child.pid)
        return worker

    async def ready(self) -> None:
        async def has_worker() -> bool:
            return len(cpu.children(self._child.pid)) == 1

        await until(has_worker)

    async def close(self) -> None:
        await self._child.terminate()


def backend(folder: Path) -> Nginx:
    """Answers everything with 60 bytes."""
    port = free_port()
    return Nginx(_BACKEND.format(port=port, body=_BODY), port, folder)


def proxy(to: int, folder: Path) -> Nginx:
    """Passes everything on over kept connections."""
    port = free_port()
    return Nginx(_PROXY.format(port=port, backend=to), port, folder)
