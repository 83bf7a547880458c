"""Lists over HTTP, from the embedded registry as each generation has them, and from servers that answer oddly."""

import contextlib
import json
from collections.abc import AsyncIterator, Generator, Mapping
from typing import Any

import pytest

from sidecar.discovery import http_lists
from sidecar.discovery.gradual import A_TURN
from sidecar.discovery.http import Http
from sidecar.discovery.http_lists import EVERYTHING, OFFERED, HttpLists, Page
from sidecar.discovery.options import NacosOptions, Server
from sidecar.discovery.session import STARTING, ErrorAnswer, Listing, RequestError, ServiceKey, Unanswered, Unreadable
from sidecar.embedded.faults import Profile
from sidecar.embedded.model import ServiceName
from sidecar.embedded.registry import EmbeddedRegistry
from tests.support.odd_server import answer, odd_server

ORDERS = ServiceKey("orders", "G")
VERSIONS = ["1.4.8", "2.5.1", "3.1.0", "3.2.4"]
V3_ADMIN, V2_CATALOGUE, V1_CATALOGUE = (f"/nacos{page.path}" for page in EVERYTHING)


@contextlib.asynccontextmanager
async def lists(server: Server, pages: tuple[Page, ...]) -> AsyncIterator[HttpLists]:
    async with Http(server, NacosOptions(request_timeout=0.3)) as http:
        yield HttpLists(http, "space", pages)


@pytest.fixture
async def registry() -> AsyncIterator[EmbeddedRegistry]:
    """Three instances in three Nacos clusters, one of them disabled."""
    async with EmbeddedRegistry(push_delay_s=0.0) as registry:
        for port, cluster in ((1, "DEFAULT"), (2, "B"), (3, "C")):
            registry.register("orders", "10.0.0.1", port, cluster=cluster, group="G", namespace="space")
        registry.edit("orders", "10.0.0.1", 2, group="G", namespace="space", enabled=False)
        registry.naming.refresh(ServiceName("orders", "G", "space"))
        yield registry


def at(registry: EmbeddedRegistry) -> Server:
    return Server.parse(registry.address, grpc_port_offset=1000)


def enabled(listing: Listing) -> Mapping[int, bool]:
    return {instance.port: instance.enabled for instance in listing.instances}


@pytest.mark.parametrize("version", VERSIONS)
async def test_clients_get_what_is_enabled_in_every_cluster(registry: EmbeddedRegistry, version: str) -> None:
    """Asked for no cluster, for those of the others, or again when the path is known."""
    await registry.apply(Profile(version))
    async with lists(at(registry), OFFERED) as offered:
        for clusters in ((), ("DEFAULT", "B", "C"), ()):
            assert enabled(await offered.read(ORDERS, {}, clusters=clusters)) == {1: True, 3: True}


@pytest.mark.parametrize("version", VERSIONS)
async def test_administrators_see_what_is_disabled(registry: EmbeddedRegistry, version: str) -> None:
    """In the clusters that they ask for, be there others or not; without any, in DEFAULT."""
    await registry.apply(Profile(version))
    async with lists(at(registry), EVERYTHING) as everything:
        found = enabled(await everything.read(ORDERS, {}, clusters=("B", "C", "unknown")))
        assert {port: found[port] for port in (2, 3)} == {2: False, 3: True}
        assert 1 in enabled(await everything.read(ORDERS, {}))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("pages", [OFFERED, EVERYTHING], ids=["clients", "administrators"])
async def test_an_unknown_service_has_an_empty_list(
    registry: EmbeddedRegistry, version: str, pages: tuple[Page, ...]
) -> None:
    """However a generation says so, and the path is not given up for it."""
    await registry.apply(Profile(version))
    async with lists(at(registry), pages) as found:
        for _ in range(2):
            assert await found.read(ServiceKey("nobody", "G"), {}) == Listing((), protect=False)
        assert len((await found.read(ORDERS, {})).instances) > 0


def test_clients_paths_are_tried_from_the_oldest_on_and_administrators_from_the_youngest() -> None:
    """1.x to 3.1 have the first of clients, 3.x the second; of the others each has its own."""
    assert [page.path for page in OFFERED] == ["/v1/ns/instance/list", "/v3/client/ns/instance/list"]
    assert [page.path[:3] for page in EVERYTHING] == ["/v3", "/v2", "/v1"]


async def test_a_path_that_is_missing_is_asked_for_once() -> None:
    """The second read goes straight to the one that is there."""
    there = answer("200 OK", '{"list": [], "count": 0}')
    async with odd_server({V1_CATALOGUE: there}) as odd, lists(odd.server, EVERYTHING) as everything:
        for _ in range(2):
            await everything.read(ORDERS, {})
        asked = [head.split()[1].partition("?")[0] for head in odd.seen]
        assert asked == [V3_ADMIN, V2_CATALOGUE, V1_CATALOGUE, V1_CATALOGUE]
        assert repr(everything).startswith("<HttpLists /v1/ns/catalog/instances of ")


async def test_a_node_that_has_no_path_at_all_is_searched_again() -> None:
    """It may have been a gateway without a node behind it."""
    async with odd_server({}) as odd, lists(odd.server, OFFERED) as offered:
        for _ in range(2):
            with pytest.raises(ErrorAnswer, match="404"):
                await offered.read(ORDERS, {})
        odd.answers["/nacos/v1/ns/instance/list"] = answer("200 OK", '{"hosts": []}')
        assert await offered.read(ORDERS, {}) == Listing((), protect=False)


async def test_who_we_are_is_shown() -> None:
    """A token in both headers, a signature among the parameters."""
    shown = {"accessToken": "t0ken", "ak": "key", "data": "d", "signature": "s"}
    there = answer("200 OK", '{"hosts": []}')
    async with odd_server({"/nacos/v1/ns/instance/list": there}) as odd, lists(odd.server, OFFERED) as offered:
        await offered.read(ORDERS, shown)
        (head,) = odd.seen
        assert "accessToken: t0ken" in head
        assert "Authorization: Bearer t0ken" in head
        for part in ("ak=key", "data=d", "signature=s", "serviceName=G@@orders", "namespaceId=space"):
            assert part in head.split()[1].replace("%40", "@")


@pytest.mark.parametrize(
    ("page", "form"),
    [
        (OFFERED[0], '{"hosts": %s}'),
        (OFFERED[1], '{"code": 0, "data": %s}'),
        (EVERYTHING[0], '{"code": 0, "data": %s}'),
        (EVERYTHING[1], '{"code": 0, "data": {"count": 1000, "instances": %s}}'),
        (EVERYTHING[2], '{"count": 1000, "list": %s}'),
    ],
)
async def test_a_long_list_is_read_a_piece_at_a_time(page: Page, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a thousand hosts a hundred before the loop turns, wherever a server puts them."""
    pauses = 0

    async def counted(steps: Generator[None, None, Any]) -> Any:
        nonlocal pauses
        while True:
            try:
                next(steps)
            except StopIteration as end:
                return end.value
            pauses += 1

    monkeypatch.setattr(http_lists, "gradually", counted)
    hosts = json.dumps([{"ip": "10.0.0.1", "port": port} for port in range(1, 1001)])
    there = {f"/nacos{page.path}": answer("200 OK", form % hosts)}
    async with odd_server(there) as odd, lists(odd.server, (page,)) as found:
        assert len((await found.read(ORDERS, {})).instances) == 1000
    assert pauses == 1000 / A_TURN - 1


@pytest.mark.parametrize(
    ("reply", "raised", "code"),
    [
        (answer("503 Odd", "server is STARTING now"), ErrorAnswer, STARTING),
        (answer("403 Odd", "no"), ErrorAnswer, 403),
        (answer("404 Odd", '{"status": 404, "error": "Not Found"}'), ErrorAnswer, 404),
        (answer("429 Odd", "slow down"), ErrorAnswer, 429),
        (answer("301 Odd", "elsewhere"), ErrorAnswer, 500),
        (answer("200 OK", '{"code": [], "data": []}'), ErrorAnswer, 500),
        (answer("200 OK", '{"code": 0, "data": [{"ip": "10.0.0.1", "port": 1e999}]}'), Unreadable, None),
        (answer("200 OK", "[" * 100_000), Unreadable, None),
        (answer("200 OK", '{"code": 30000, "message": "x", "data": null}'), ErrorAnswer, 30000),
        (answer("200 OK", '{"code": 0, "data": null}'), Unreadable, None),
        (answer("200 OK", '{"code": 0, "data": {"count": 3}}'), Unreadable, None),
        (answer("200 OK", '{"code": 0, "data": [{"ip": "a"}]}'), Unreadable, None),
        (answer("200 OK", "[]"), Unreadable, None),
        (answer("200 OK", "<html>"), Unreadable, None),
        (b"HTTP/1.1 0 \r\n\r\n", Unreadable, None),
        (None, Unanswered, None),
    ],
)
async def test_what_is_no_list_is_never_taken_for_an_empty_one(
    reply: bytes | None, raised: type[RequestError], code: int | None
) -> None:
    """Each failure of the catalogue in the words that its callers know."""
    async with odd_server({V2_CATALOGUE: reply}) as odd, lists(odd.server, EVERYTHING[1:2]) as catalogue:
        with pytest.raises(raised) as caught:
            await catalogue.read(ORDERS, {})
        assert getattr(caught.value, "code", None) == code


async def test_one_cluster_that_cannot_be_read_spoils_the_list() -> None:
    """Half a list is none."""
    refused = answer("403 No")
    async with odd_server({V3_ADMIN: refused}) as odd, lists(odd.server, EVERYTHING) as everything:
        with pytest.raises(ErrorAnswer, match="403"):
            await everything.read(ORDERS, {}, clusters=("A", "B"))
        assert len(odd.seen) == 2
