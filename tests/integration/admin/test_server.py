"""The admin port over real sockets: methods, access, compression, and patience with the event loop."""

import asyncio
import gc
import gzip
import itertools
import json
import random
import time
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio

from sidecar.admin import access
from sidecar.admin import server as server_module
from sidecar.admin.server import AdminServer
from sidecar.cluster.cluster import Cluster
from sidecar.cluster.instance import Instance, Origin, Push
from sidecar.cluster.policy import ServicePolicy
from tests.support.admin_backend import ScriptedBackend
from tests.support.until import settled


class Port:
    """A server, what is behind it, and a client before it."""

    def __init__(
        self, server: AdminServer, backend: ScriptedBackend, bound: str, client: aiohttp.ClientSession
    ) -> None:
        self.server = server
        self.backend = backend
        self.bound = bound
        self._client = client

    async def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, bytes, dict[str, str]]:
        renamed = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self._client.request(method, f"http://{self.bound}{path}", headers=renamed) as response:
            return response.status, await response.read(), {k.lower(): v for k, v in response.headers.items()}


@pytest_asyncio.fixture
async def port() -> AsyncIterator[Port]:
    backend = ScriptedBackend()
    server = AdminServer(backend, allow_remote=["healthz", "readyz", "metrics"])
    bound = await server.open("127.0.0.1", 0)
    async with aiohttp.ClientSession(auto_decompress=False) as client:
        yield Port(server, backend, bound, client)
    await server.close()


@pytest.fixture
def remote(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every peer counts as one of another host."""
    monkeypatch.setattr(access, "is_loopback", lambda _: False)


def _large_cluster(endpoints: int) -> Cluster:
    cluster = Cluster(ServicePolicy(name="large"), rng=random.Random(1), now=0.0)
    instances = tuple(Instance(f"10.{n >> 8}.{n & 255}.1", 8080) for n in range(endpoints))
    cluster.apply(Push("large", instances, Origin.NACOS), now=0.0)
    return cluster


async def test_a_path_and_its_alias_answer_alike(port: Port) -> None:
    """Also by HEAD, without a body but with its length."""
    assert [(await port.ask(path))[:2] for path in ("/healthz", "/live")] == [(200, b"ok")] * 2
    status, body, headers = await port.ask("/healthz", "HEAD")
    assert (status, body, headers["content-length"]) == (200, b"", "2")


async def test_no_answer_tells_what_made_it(port: Port) -> None:
    """Neither a good one nor a refusal names a program: versions are nobody's business but /server_info's."""
    for path in ("/healthz", "/metrics", "/nowhere", "/drain"):
        _, _, headers = await port.ask(path)
        assert "server" not in headers


async def test_the_status_page_is_opened_to_others_as_index(port: Port, remote: None) -> None:
    """HTML under its own policy, never cached; 403 from elsewhere unless `index` is named."""
    assert (await port.ask("/"))[:2] == (403, b"only from loopback: /")
    port.server.allow_remote = ["index"]
    port.backend.listed = [_large_cluster(3)]
    status, body, headers = await port.ask("/", Accept_Encoding="identity")
    assert (status, headers["content-type"], headers["cache-control"]) == (200, "text/html; charset=utf-8", "no-store")
    assert headers["content-security-policy"].startswith("default-src 'none'; ")
    assert body.count(b"<tr><td>") == 3


async def test_unknown_paths_are_404(port: Port) -> None:
    """With a hint where to look."""
    assert (await port.ask("/nowhere"))[:2] == (404, b"unknown path: /nowhere (see /help)")


async def test_a_change_needs_post(port: Port) -> None:
    """405 names the method, and nothing is done."""
    for path in ("/reload", "/drain", "/undrain", "/quitquitquit", "/services/a/obey", "/services/a/endpoints/b/eject"):
        status, _, headers = await port.ask(path)
        assert (status, headers["allow"]) == (405, "POST")
    assert (port.backend.done, port.backend.told) == ([], [])
    assert (await port.ask("/drain", "POST"))[0] == 200
    assert port.backend.done == ["drain"]


async def test_the_parts_of_a_path_reach_the_service_that_they_name(port: Port) -> None:
    """An endpoint is taken out, its colon escaped or not; of an unknown service nothing is."""
    port.backend.listed = [_large_cluster(2)]
    for path in ("10.0.0.1:8080", "10.0.1.1%3A8080"):
        status, body, _ = await port.ask(f"/services/large/endpoints/{path}/eject?ttl=1m", "POST")
        assert (status, json.loads(body)["state"]) == (200, "disabled")
    assert (await port.ask("/services/small/hold", "POST"))[:2] == (404, b"no service 'small'")
    assert [event.kind for event in port.backend.told] == ["endpoint_ejected"] * 2


async def test_what_only_shows_takes_no_post(port: Port) -> None:
    """405 here too, with what it takes."""
    status, _, headers = await port.ask("/clusters", "POST")
    assert (status, headers["allow"]) == (405, "GET, HEAD")


async def test_remote_peers_reach_only_what_is_open(port: Port, remote: None) -> None:
    """Probes and scrapes pass, under any Host and alias; all else is 403, changes even where GET is open."""
    for path in ("/healthz", "/live", "/readyz", "/metrics", "/stats/prometheus"):
        assert (await port.ask(path, Host="pod.cluster.local"))[0] == 200
    assert (await port.ask("/clusters"))[:2] == (403, b"only from loopback: /clusters")
    port.server.allow_remote = ["logging"]
    assert (await port.ask("/logging"))[0] == 200
    assert (await port.ask("/logging?level=debug", "POST"))[0] == 403
    assert (await port.ask("/quitquitquit", "POST"))[0] == 403
    port.backend.listed = [_large_cluster(1)]
    address = next(iter(port.backend.listed[0].endpoints))
    for path in ("obey", "hold", f"endpoints/{address}/eject", f"endpoints/{address}/restore"):
        assert (await port.ask(f"/services/large/{path}", "POST"))[0] == 403
    assert (port.backend.level, port.backend.done, port.backend.told) == ("info", [], [])


async def test_a_name_as_host_is_refused_on_loopback_too(port: Port) -> None:
    """A browser that was lured here cannot ask for more than a probe can."""
    assert (await port.ask("/config_dump", Host="evil.example"))[0] == 403
    assert (await port.ask("/quitquitquit", "POST", Host="evil.example"))[0] == 403
    assert (await port.ask("/config_dump", Host="localhost:19901"))[0] == 200


async def test_large_answers_are_compressed_on_request(port: Port) -> None:
    """gzip when it is accepted, plain otherwise, the same bytes either way."""
    port.backend.page = b"sidecar_requests_total 1\n" * 5000
    status, plain, headers = await port.ask("/metrics", Accept_Encoding="identity")
    assert (status, "content-encoding" in headers) == (200, False)
    for accepted in ("gzip", "br, gzip;q=0.5", "GZIP , deflate"):
        _, packed, headers = await port.ask("/metrics", Accept_Encoding=accepted)
        assert headers["content-encoding"] == "gzip"
        assert len(packed) < len(plain) / 10
        assert gzip.decompress(packed) == plain
    _, body, headers = await port.ask("/metrics", Accept_Encoding="gzip;q=0, deflate")
    assert (body, "content-encoding" in headers) == (plain, False)


async def test_the_scraper_chooses_the_format(port: Port) -> None:
    """Its Accept header reaches the exposition, and the content type comes back."""
    _, _, headers = await port.ask("/metrics", Accept="text/x")
    assert headers["content-type"] == "text/plain; asked='text/x'"


async def test_ten_thousand_endpoints_do_not_stop_the_loop(port: Port) -> None:
    """The document is complete, and other work had its turns while it was made: none took a fifth of it."""
    port.backend.listed = [_large_cluster(5000)] * 2
    turns = [time.process_time()]

    async def watch() -> None:
        while True:
            await asyncio.sleep(0)
            turns.append(time.process_time())

    gc.disable()  # a look through all objects of a test run is not the server's
    try:
        watching = asyncio.get_running_loop().create_task(watch())
        _, body, _ = await port.ask("/clusters?format=json", Accept_Encoding="gzip")
        watching.cancel()
    finally:
        gc.enable()
    clusters = json.loads(gzip.decompress(body))["clusters"]
    assert [len(cluster["endpoints"]) for cluster in clusters] == [5000, 5000]
    longest = max(later - earlier for earlier, later in itertools.pairwise(turns))
    assert longest < (turns[-1] - turns[0]) / 5


async def test_a_second_server_can_take_over_before_the_first_closes(port: Port) -> None:
    """As at a reload that moves admin.listen; an address in use is told by OSError."""
    second = AdminServer(port.backend, allow_remote=[])
    bound = await second.open("127.0.0.1", 0)
    assert bound != port.bound
    await second.close()
    third = AdminServer(port.backend, allow_remote=[])
    with pytest.raises(OSError, match="in use"):
        await third.open("127.0.0.1", int(port.bound.rpartition(":")[2]))
    await third.close()


async def test_connections_that_say_nothing_keep_nobody_out(port: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    """When there are too many, the oldest that waits for a request goes: a probe gets in, and descriptors stay the app's."""
    monkeypatch.setattr(server_module, "MOST_CONNECTIONS", 3)
    host, _, number = port.bound.rpartition(":")
    silent = []
    for _ in range(5):
        silent.append(await asyncio.open_connection(host, int(number)))
        await settled(lambda: len(port.server._connections) == min(3, len(silent)))
    for reader, _ in silent[:2]:
        assert await reader.read() == b""
    assert (await port.ask("/healthz"))[0] == 200
    for _, writer in silent:
        writer.close()
