"""Apps that are told of the sidecar by `http_proxy`, or by a Host: curl, requests and the two clients of a JVM.

What names no service is refused, whatever it looks like: a sidecar is no open proxy.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import requests

from tests.support.java_caller import TOOLS, JavaCaller
from tests.support.plain_provider import plain_providers
from tests.support.process import run
from tests.support.scripted_peer import ScriptedPeer, connected
from tests.support.sidecar_process import running
from tests.support.stack import ask

CONFIG = """\
version: 1
listen: 127.0.0.1:0
admin: {{listen: 127.0.0.1:0}}
access_log: {{path: none}}
services:
  - name: order-service
    hosts: [order-service, "*.orders.internal"]
    discovery: {{static: ["{instance}"]}}
"""

pytestmark = [pytest.mark.own_process]

LARGE = bytes(range(256)) * 16 * 1024


@contextlib.asynccontextmanager
async def proxy_to(folder: Path, instance: str) -> AsyncIterator[int]:
    """The port of the shared listener."""
    async with running(folder, CONFIG.format(instance=instance)) as sidecar:
        await sidecar.ready()
        yield await sidecar.bound("shared")


async def curl(*arguments: str, port: int) -> str:
    """What it prints; told of the proxy as an operator would tell an app."""
    result = await asyncio.to_thread(
        run, "env", f"http_proxy=http://127.0.0.1:{port}", "curl", "--silent", "--show-error", *arguments
    )
    return result.stdout


@pytest.mark.needs("curl")
async def test_curl_by_http_proxy(tmp_path: Path) -> None:
    """GET, an upload that waits for 100 Continue, two calls over one connection: the instance sees them as sent to itself."""
    (tmp_path / "large").write_bytes(LARGE)
    async with ScriptedPeer() as peer, proxy_to(tmp_path, peer.address) as port:
        url = "http://order-service/orders/7?a=%2F//b"
        codes = ("--write-out", "%{http_code} %{num_connects} ")
        assert await curl(*codes, url, "http://ORDER-SERVICE:8080/x", port=port) == "ok200 1 ok200 0 "
        upload = ("--data-binary", f"@{tmp_path / 'large'}", "--header", "Expect: 100-continue")
        assert await curl(*codes, *upload, "http://a.orders.internal/", port=port) == "ok200 1 "
        first, second, large = peer.requests
        assert first.startswith(b"GET /orders/7?a=%2F//b HTTP/1.1\r\nHost: order-service\r\n")
        assert second.startswith(b"GET /x HTTP/1.1\r\nHost: ORDER-SERVICE:8080\r\n")
        assert large.startswith(b"POST / HTTP/1.1\r\nHost: a.orders.internal\r\n")
        assert large.endswith(b"\r\n\r\n" + LARGE)
        assert b"\r\nproxy-connection" not in (first + second + large[:1000]).lower()


@pytest.mark.needs("curl")
async def test_curl_by_host(tmp_path: Path) -> None:
    """Without a proxy setting, to the port itself."""
    async with ScriptedPeer() as peer, proxy_to(tmp_path, peer.address) as port:
        host = ("--header", "Host: Order-Service", "--noproxy", "*")
        assert await curl(*host, f"http://127.0.0.1:{port}/x", port=port) == "ok"
        assert peer.requests[0].startswith(b"GET /x HTTP/1.1\r\nHost: Order-Service\r\n")


async def test_requests_by_proxies(tmp_path: Path) -> None:
    """Bodies of known and of unknown length, answers with an error, all over one session."""

    def calls(port: int) -> list[int]:
        with requests.Session() as session:
            session.trust_env = False
            session.proxies = {"http": f"http://127.0.0.1:{port}"}
            url = "http://order-service/orders"
            return [
                session.get(url, params={"q": "ä b"}, timeout=60).status_code,
                session.post(url, json={"order": 7}, timeout=60).status_code,
                session.put(url, data=pieces(), timeout=60).status_code,
                session.head(url, timeout=60).status_code,
                session.get("http://nobody/", timeout=60).status_code,
            ]

    def pieces() -> Iterator[bytes]:
        yield LARGE
        yield b"end"

    async with ScriptedPeer() as peer, proxy_to(tmp_path, peer.address) as port:
        assert await asyncio.to_thread(calls, port) == [200, 200, 200, 200, 502]
        got, posted, put, head = peer.requests
        assert got.startswith(b"GET /orders?q=%C3%A4+b HTTP/1.1\r\nHost: order-service\r\n")
        assert posted.endswith(b'\r\n\r\n{"order": 7}')
        assert put.endswith(b"\r\n3\r\nend\r\n0\r\n\r\n")
        assert len(put) > len(LARGE)
        assert head.startswith(b"HEAD /orders HTTP/1.1\r\n")
        assert len({id(talk) for talk in peer.talks if talk.requests}) == 1


@pytest.mark.needs(*TOOLS)
async def test_java_by_one_flag(tmp_path: Path) -> None:
    """HttpURLConnection, and HttpClient, which offers h2c with every call: each call is answered and executed once."""
    async with plain_providers(tmp_path, 1) as (provider,), proxy_to(tmp_path, provider.address) as port:
        async with JavaCaller("app", ["order-service", "eu.orders.internal:81"], folder=tmp_path, through=port) as app:
            await app.goes_on()
            await app.pause()
            calls = app.calls()
        assert {(call.client, call.method, call.dialled, call.status) for call in calls} == {
            (client, method, host, 200)
            for client in ("url", "http")
            for method in ("GET", "POST")
            for host in ("order-service", "eu.orders.internal:81")
        }
        assert sorted(provider.executed()) == sorted(f"{call.method} {call.id}" for call in calls)


REFUSED = {
    "an unknown name": (b"GET http://nobody/ HTTP/1.1\r\nHost: nobody\r\n\r\n", 502),
    "a server that could be reached": (b"GET http://127.0.0.1:%d/ HTTP/1.1\r\nHost: x\r\n\r\n", 502),
    "the same by name": (b"GET http://localhost:%d/ HTTP/1.1\r\nHost: x\r\n\r\n", 502),
    "the same behind the Host of a service": (b"GET http://127.0.0.1:%d/ HTTP/1.1\r\nHost: order-service\r\n\r\n", 502),
    "the same as a Host": (b"GET / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n", 502),
    "the same behind a user": (b"GET http://order-service@127.0.0.1:%d/ HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "the same as a Host with a user": (b"GET / HTTP/1.1\r\nHost: order-service@127.0.0.1:%d\r\n\r\n", 400),
    "the same by CONNECT": (b"CONNECT 127.0.0.1:%d HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n", 501),
    "a service by CONNECT": (b"CONNECT order-service:80 HTTP/1.1\r\nHost: order-service\r\n\r\n", 501),
    "the metadata of a cloud": (b"GET http://169.254.169.254/latest HTTP/1.1\r\nHost: x\r\n\r\n", 502),
    "a name that only begins like a service": (b"GET http://order-service.evil/ HTTP/1.1\r\nHost: x\r\n\r\n", 502),
    "a suffix without a name": (b"GET http://orders.internal/ HTTP/1.1\r\nHost: x\r\n\r\n", 502),
    "https": (b"GET https://order-service/ HTTP/1.1\r\nHost: order-service\r\n\r\n", 400),
    "two Hosts": (b"GET / HTTP/1.1\r\nHost: order-service\r\nHost: nobody\r\n\r\n", 400),
}


async def test_what_names_no_service_is_refused(tmp_path: Path, subtests: pytest.Subtests) -> None:
    """Nobody else is connected, however a request is dressed up."""
    async with ScriptedPeer() as peer, ScriptedPeer() as other, proxy_to(tmp_path, peer.address) as port:
        for name, (template, status) in REFUSED.items():
            with subtests.test(name):
                data = template.replace(b"%d", b"%d" % other.port)
                async with connected(port) as app:
                    assert (await ask(app, data)).status == status
        async with connected(port) as app:
            assert (await ask(app, b"GET http://order-service/ HTTP/1.1\r\nHost: nobody\r\n\r\n")).status == 200
        assert other.talks == []
        assert len(peer.requests) == 1


@pytest.mark.needs("curl")
async def test_https_through_it_fails_with_a_reason(tmp_path: Path) -> None:
    """curl asks for a tunnel, which is refused at once: the app's own words say what went wrong."""
    async with ScriptedPeer() as peer, proxy_to(tmp_path, peer.address) as port:
        command = (
            "env",
            f"https_proxy=http://127.0.0.1:{port}",
            "curl",
            "--silent",
            "--show-error",
            "https://order-service/",
        )
        result = await asyncio.to_thread(run, *command, check=False)
        assert result.returncode == 56
        assert "501" in result.stderr
