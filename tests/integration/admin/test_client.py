"""`wait` and `status` against a real admin port, and against none."""

import asyncio
import io
import json
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio

from sidecar.admin import client
from sidecar.admin.server import AdminServer
from sidecar.cluster.cluster import Cluster
from sidecar.cluster.instance import Instance, Origin, Push
from sidecar.cluster.policy import ServicePolicy
from tests.support.admin_backend import ScriptedBackend
from tests.support.scripted_peer import ScriptedPeer
from tests.support.until import PATIENCE


class Console:
    """Runs a command off the loop and keeps what it printed."""

    def __init__(self, admin: str, backend: ScriptedBackend) -> None:
        self.admin = admin
        self.backend = backend
        self.out, self.err = io.StringIO(), io.StringIO()

    async def run(self, command: Callable[[], int]) -> int:
        return await asyncio.to_thread(command)

    async def wait(self, timeout: float) -> int:  # noqa: ASYNC109 - the command's own flag
        return await self.run(lambda: client.wait(self.admin, timeout=timeout, err=self.err))

    async def status(self, format: str = "text", service: str | None = None) -> int:  # noqa: A002
        return await self.run(
            lambda: client.status(self.admin, format=format, service=service, out=self.out, err=self.err)
        )


@pytest_asyncio.fixture
async def console() -> AsyncIterator[Console]:
    cluster = Cluster(ServicePolicy(name="orders"), rng=random.Random(1), now=0.0)
    cluster.apply(Push("orders", (Instance("10.0.0.1", 8080),), Origin.NACOS), now=0.0)
    backend = ScriptedBackend(cluster)
    server = AdminServer(backend, allow_remote=[])
    bound = await server.open("127.0.0.1", 0)
    yield Console(bound.replace("127.0.0.1", "0.0.0.0"), backend)
    await server.close()


async def test_wait_ends_when_the_last_latch_opens(console: Console) -> None:
    """It polls, and a wildcard address means this host."""
    console.backend.closed = ["service/orders"]
    asyncio.get_running_loop().call_later(0.3, console.backend.closed.clear)
    assert await console.wait(PATIENCE) == 0
    assert console.err.getvalue() == ""


async def test_wait_names_the_closed_latches_when_time_is_up(console: Console) -> None:
    """Exit code 69 and the reason on stderr."""
    console.backend.closed = ["service/orders", "service/stock"]
    assert await console.wait(2.0) == 69
    assert console.err.getvalue() == (
        "not ready after 2s: service/orders (no instance list yet), service/stock (no instance list yet)\n"
    )


async def test_a_look_that_time_cuts_short_says_nothing(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the sidecar said before counts: it was not ready, whereas "timed out" would be about ourselves."""
    latches = '{"latches": [{"name": "service/orders", "open": false, "why": "no instance list yet"}]}'
    looks = iter([(503, latches), (0, "timed out")])
    times = iter([0.0, 0.0, 0.1, 0.1, 1.1, 1.1])  # of the first look, then of one that ends at the deadline
    monkeypatch.setattr(client, "monotonic", lambda: next(times))
    monkeypatch.setattr(client, "_look", lambda *_, **__: next(looks))
    assert await console.wait(1.0) == 69
    assert console.err.getvalue() == "not ready after 1s: service/orders (no instance list yet)\n"


async def test_wait_says_when_nobody_answers(console: Console) -> None:
    """A port that nobody listens on is told apart from a sidecar that is not ready."""
    assert await console.run(lambda: client.wait("127.0.0.1:1", timeout=0.3, err=console.err)) == 69
    assert console.err.getvalue().startswith("not ready after 0.3s: 127.0.0.1:1: ")


async def test_status_is_a_table(console: Console) -> None:
    """A row an endpoint under the headings of the contract."""
    assert await console.status() == 0
    heading, row = console.out.getvalue().splitlines()
    assert heading.split() == ["SERVICE", "ENDPOINT", "STATE", "IN-FLIGHT", "REQUESTS", "FAILURES", "UNTIL"]
    assert row.split() == ["orders", "10.0.0.1:8080", "available", "0", "0", "0", "-"]


async def test_status_as_json_is_the_body_of_clusters(console: Console) -> None:
    """Scripts get the document itself."""
    assert await console.status("json", "orders") == 0
    assert [cluster["name"] for cluster in json.loads(console.out.getvalue())["clusters"]] == ["orders"]


async def test_status_of_a_service_that_is_not_there_is_a_usage_error(console: Console) -> None:
    """A typing error must not look like an empty service."""
    assert await console.status(service="order s&x") == 2
    assert (console.out.getvalue(), console.err.getvalue()) == ("", "no service 'order s&x'\n")


async def test_status_without_a_sidecar_is_unavailable(console: Console) -> None:
    """Exit code 69, who did not answer, and what to look at."""
    console.admin = "127.0.0.1:1"
    assert await console.status() == 69
    assert console.err.getvalue().startswith("127.0.0.1:1: Connection refused: does the sidecar run")


async def test_status_of_somebody_else_is_unavailable(console: Console) -> None:
    """A web server answers with pages of its own, which are not shown."""
    async with ScriptedPeer() as peer:
        console.admin = f"127.0.0.1:{peer.port}"
        assert await console.status() == 69
    assert console.err.getvalue().startswith(f"{console.admin}: status 200: does the sidecar run")
    assert console.out.getvalue() == ""


@pytest.mark.parametrize(
    ("admin", "target"),
    [
        ("127.0.0.1:19901", ("127.0.0.1", 19901)),
        ("0.0.0.0:19901", ("127.0.0.1", 19901)),
        ("[::]:19901", ("::1", 19901)),
        ("[::1]:1", ("::1", 1)),
        ("localhost:80", ("localhost", 80)),
    ],
)
def test_a_wildcard_host_becomes_loopback(admin: str, target: tuple[str, int]) -> None:
    """The address of `admin.listen` can be used as it stands."""
    assert client.target(admin) == target


@pytest.mark.parametrize("admin", ["19901", "localhost", "localhost:http", ""])
def test_what_is_no_address_is_refused(admin: str) -> None:
    """With an example of one."""
    with pytest.raises(ValueError, match="expected an address such as"):
        client.target(admin)


def test_nothing_heavy_is_imported() -> None:
    """A probe starts a process each time: no event loop, no web framework, no core."""
    script = "import sidecar.admin.client, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not loaded & {"asyncio", "aiohttp", "pydantic", "prometheus_client", "grpc", "sidecar.cluster.cluster"}
