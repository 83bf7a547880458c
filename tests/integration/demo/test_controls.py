"""What the story asks of the registry and of the admin port."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from sidecar.demo.controls import Admin, Registry, rescues
from sidecar.demo.processes import StageError
from sidecar.embedded.faults import QueryLag
from sidecar.embedded.registry import EmbeddedRegistry
from tests.support.ports import free_port


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def embedded() -> AsyncIterator[EmbeddedRegistry]:
    async with EmbeddedRegistry() as embedded:
        await embedded.apply(QueryLag(enabled=False))
        embedded.register("orders", "10.0.0.1", 80)
        yield embedded


async def test_the_lie_empties_the_list_until_the_truth_is_told(
    session: aiohttp.ClientSession, embedded: EmbeddedRegistry
) -> None:
    """The instance is there all the time, but not in the list while the registry lies."""
    registry = Registry(session, embedded.address, "orders")
    counts = [await registry.listed()]
    await registry.deny_all()
    counts.append(await registry.listed())
    await registry.tell_the_truth()
    counts.append(await registry.listed())
    assert counts == [1, 0, 1]
    assert len(embedded.instances("orders")) == 1


async def test_a_registry_that_refuses_or_is_gone_is_told_as_such(
    session: aiohttp.ClientSession, embedded: EmbeddedRegistry
) -> None:
    """Both end the demo with a reason, not with a traceback."""
    with pytest.raises(StageError, match="the registry refused DELETE /faults/no_such_fault: "):
        await Registry(session, embedded.address, "orders")._ask("DELETE", "/faults/no_such_fault")
    with pytest.raises(StageError, match="the registry did not answer GET"):
        await Registry(session, f"127.0.0.1:{free_port()}", "orders").listed()


async def test_the_admin_port_tells_readiness_and_rescues(session: aiohttp.ClientSession) -> None:
    """Ready means 200; rescues come from the exposition of this service alone."""

    async def serve(request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/metrics":
            return web.Response(text='sidecar_rescued_requests_total{service="orders",by="retry"} 3.0\n')
        return web.Response(status=503)

    runner = web.ServerRunner(web.Server(serve, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    address = "{}:{}".format(*runner.addresses[0][:2])
    assert not await Admin(session, address, "orders").ready()
    assert await Admin(session, address, "orders").rescued() == {"retry": 3}
    assert await Admin(session, address, "ledger").rescued() == {}
    await runner.cleanup()


async def test_an_admin_port_that_is_not_there_is_not_ready(session: aiohttp.ClientSession) -> None:
    """While the sidecar starts that is no error; asking for its counts is."""
    admin = Admin(session, f"127.0.0.1:{free_port()}", "orders")
    assert not await admin.ready()
    with pytest.raises(StageError, match="the sidecar's admin port did not answer"):
        await admin.rescued()


def test_rescues_are_read_by_way() -> None:
    """Comments, other families and other services do not count."""
    exposition = (
        "# TYPE sidecar_rescued_requests_total counter\n"
        'sidecar_rescued_requests_total{service="orders",by="guard"} 150.0\n'
        'sidecar_rescued_requests_total{service="orders",by="proof"} 1\n'
        'sidecar_rescued_requests_total{service="ledger",by="wait"} 7.0\n'
        'sidecar_requests_total{service="orders",flags="-"} 9.0\n'
    )
    assert rescues(exposition, "orders") == {"guard": 150, "proof": 1}
