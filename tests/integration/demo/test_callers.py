"""Two callers with the same load: what they send, and how they count what comes back."""

import asyncio
from collections.abc import AsyncIterator, Callable

import aiohttp
import pytest
from aiohttp import web

from sidecar.demo import callers
from sidecar.demo.callers import CACHE_SECONDS, CachedList, Caller, Fixed, client_session
from sidecar.demo.verdict import Tally
from sidecar.embedded.faults import QueryLag
from sidecar.embedded.registry import EmbeddedRegistry
from sidecar.tasks import spawn
from tests.support.ports import free_port
from tests.support.until import until

Answer = Callable[[web.BaseRequest], web.StreamResponse]


class Service:
    """Remembers (method, path, id) of every call; answers as told."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, str | None]] = []
        self.status = 200
        self.pause = asyncio.Event()
        self.pause.set()

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        self.calls.append((request.method, request.path, request.headers.get("x-request-id")))
        await self.pause.wait()
        return web.Response(status=self.status)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with client_session() as session:
        yield session


@pytest.fixture
async def service() -> AsyncIterator[tuple[Service, str]]:
    """A service and its address."""
    service = Service()
    runner = web.ServerRunner(web.Server(service, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield service, "{}:{}".format(*runner.addresses[0][:2])
    await runner.cleanup()


def up_to(calls: int, rate: int) -> Callable[[float], bool]:
    return lambda due: due >= calls / rate


async def test_half_get_half_post_each_with_its_id(
    session: aiohttp.ClientSession, service: tuple[Service, str]
) -> None:
    """Calls alternate, and every id is sent once."""
    tally = Tally("direct")
    await Caller(tally, session, Fixed(service[1]), prefix="d-").offer(rate=1000, over=up_to(4, 1000))
    assert sorted(service[0].calls) == [
        ("GET", "/echo/d-1", None),
        ("GET", "/echo/d-3", None),
        ("POST", "/echo", "d-2"),
        ("POST", "/echo", "d-4"),
    ]
    assert (tally.offered, tally.calls, tally.failed, len(tally.latencies)) == (4, 4, 0, 4)


async def test_no_slow_answer_holds_the_load_back(session: aiohttp.ClientSession, service: tuple[Service, str]) -> None:
    """The loop is open: while nothing is answered, all calls are sent at their time."""
    provider, address = service
    provider.pause.clear()
    tally = Tally("direct")

    async def all_there() -> bool:
        return len(provider.calls) == 20

    offering = spawn(
        Caller(tally, session, Fixed(address), prefix="d-").offer(rate=200, over=up_to(20, 200)), name="offer"
    )
    await until(all_there)
    assert tally.calls == 0
    provider.pause.set()
    await offering
    assert tally.calls == 20


async def test_what_is_far_too_late_is_not_sent(
    session: aiohttp.ClientSession, service: tuple[Service, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that cannot keep the rate offers calls that were never made, so the verdict can see it."""
    monkeypatch.setattr(callers, "_LATE", -1.0)
    tally = Tally("direct")
    await Caller(tally, session, Fixed(service[1]), prefix="d-").offer(rate=1000, over=up_to(5, 1000))
    assert (tally.offered, tally.calls, service[0].calls) == (5, 0, [])


async def test_an_error_status_is_a_failure(session: aiohttp.ClientSession, service: tuple[Service, str]) -> None:
    """Anything but 200 is lost, under its status."""
    provider, address = service
    provider.status = 502
    tally = Tally("direct")
    await Caller(tally, session, Fixed(address), prefix="d-").offer(rate=1000, over=up_to(2, 1000))
    assert (tally.failed, tally.failures, tally.latencies) == (2, {"status 502": 2}, [])


async def test_a_refused_call_is_a_failure(session: aiohttp.ClientSession) -> None:
    """Nobody listens: each call is lost as refused, and none is tried again."""
    tally = Tally("direct")
    caller = Caller(tally, session, Fixed(f"127.0.0.1:{free_port()}"), prefix="d-")
    await caller.offer(rate=1000, over=up_to(3, 1000))
    assert (tally.calls, tally.failures) == (3, {"refused": 3})


async def test_a_closed_connection_is_a_lost_one(session: aiohttp.ClientSession) -> None:
    """The service took the connection and closed it without an answer."""

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        tally = Tally("direct")
        base = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await Caller(tally, session, Fixed(base), prefix="d-").offer(rate=1000, over=up_to(2, 1000))
    assert tally.failures == {"connection lost": 2}


async def test_an_answer_that_never_comes_is_a_timeout(service: tuple[Service, str]) -> None:
    """The client's patience ends the call."""
    provider, address = service
    provider.pause.clear()
    tally = Tally("direct")
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=0.05)) as impatient:
        await Caller(tally, impatient, Fixed(address), prefix="d-").offer(rate=1000, over=up_to(1, 1000))
    provider.pause.set()
    assert tally.failures == {"timeout": 1}


class TestCachedList:
    @pytest.fixture
    async def registry(self) -> AsyncIterator[EmbeddedRegistry]:
        async with EmbeddedRegistry() as registry:
            await registry.apply(QueryLag(enabled=False))
            registry.register("orders", "10.0.0.1", 80)
            registry.register("orders", "10.0.0.2", 80)
            yield registry

    async def test_addresses_are_taken_in_turn(
        self, session: aiohttp.ClientSession, registry: EmbeddedRegistry
    ) -> None:
        """Each instance of the list comes once a round."""
        route = CachedList(session, registry.address, "orders")
        await route.refresh()
        taken = [await route.base() for _ in range(4)]
        assert sorted(taken[:2]) == ["http://10.0.0.1:80", "http://10.0.0.2:80"]
        assert taken[2:] == taken[:2]

    async def test_the_list_is_kept_for_30_seconds(
        self, session: aiohttp.ClientSession, registry: EmbeddedRegistry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A change of the registry is not seen before, and is seen after."""
        now = 1000.0
        monkeypatch.setattr(callers, "monotonic", lambda: now)
        route = CachedList(session, registry.address, "gone")
        await route.refresh()
        registry.register("gone", "10.0.0.3", 80)
        now += CACHE_SECONDS
        with pytest.raises(LookupError):
            await route.base()
        now += 0.1
        assert await route.base() == "http://10.0.0.3:80"

    async def test_an_empty_list_loses_the_call(
        self, session: aiohttp.ClientSession, registry: EmbeddedRegistry
    ) -> None:
        """There is nowhere to go, and the caller counts it under that name."""
        tally = Tally("direct")
        route = CachedList(session, registry.address, "nobody")
        await Caller(tally, session, route, prefix="d-").offer(rate=1000, over=up_to(2, 1000))
        assert tally.failures == {"empty list": 2}
