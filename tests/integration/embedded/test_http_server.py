"""The HTTP face as curl and 1.x clients use it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import aiohttp
import pytest

from sidecar.embedded.faults import Auth, HttpAnswer, LoginPath, Profile, Starting
from sidecar.embedded.heartbeats import DELETED_AFTER, UNHEALTHY_AFTER
from sidecar.embedded.model import ServiceName
from sidecar.embedded.registry import EmbeddedRegistry

Call = Callable[..., Awaitable[tuple[int, Any]]]


@pytest.fixture
async def call(registry: EmbeddedRegistry) -> AsyncIterator[Call]:
    """`call(method, path, **params)` gives status and JSON, or text."""
    async with aiohttp.ClientSession(f"http://{registry.address}") as session:

        async def call(method: str, path: str, **params: str) -> tuple[int, Any]:
            async with session.request(method, path, params=params) as answer:
                is_json = answer.content_type == "application/json"
                return answer.status, await answer.json() if is_json else await answer.text()

        yield call


ADDRESS = {"serviceName": "DEFAULT_GROUP@@orders", "ip": "10.0.0.2", "port": "80"}


async def test_curl_can_register_list_and_deregister(call: Call) -> None:
    """Instances registered over v1 are listed by v1 and leave it again."""
    assert await call("POST", "/nacos/v1/ns/instance", **ADDRESS, metadata='{"zone":"a"}') == (200, "ok")
    _, listed = await call("GET", "/nacos/v1/ns/instance/list", serviceName="orders")
    assert [(host["ip"], host["metadata"]) for host in listed["hosts"]] == [
        ("10.0.0.1", {}),
        ("10.0.0.2", {"zone": "a"}),
    ]
    assert await call("DELETE", "/nacos/v1/ns/instance", **ADDRESS) == (200, "ok")
    _, services = await call("GET", "/nacos/v1/ns/service/list")
    assert services == {"count": 1, "doms": ["orders"]}


async def test_only_the_admin_list_shows_disabled_instances(registry: EmbeddedRegistry, call: Call) -> None:
    """A disabled instance is missing from the client list and marked in the admin list."""
    target = {"serviceName": "orders", "ip": "10.0.0.1", "port": "80"}
    assert (await call("PUT", "/nacos/v3/admin/ns/instance", **target, enabled="false"))[0] == 200
    registry.naming.refresh(ServiceName("orders"))
    _, seen = await call("GET", "/nacos/v3/client/ns/instance/list", serviceName="orders")
    _, known = await call("GET", "/nacos/v3/admin/ns/instance/list", serviceName="orders")
    assert seen["data"] == []
    assert [host["enabled"] for host in known["data"]] == [False]


CATALOGUES: Mapping[str, tuple[str, Callable[[Any], list[dict[str, Any]]]]] = {
    "1.4.8": ("v1/ns/catalog/instances", lambda body: body["list"]),
    "2.5.1": ("v2/ns/catalog/instances", lambda body: body["data"].get("instances", [])),
    "3.1.0": ("v3/admin/ns/instance/list", lambda body: body["data"]),
}
"""Where administrators look, and what holds the instances."""


@pytest.mark.parametrize("version", CATALOGUES)
async def test_every_generation_shows_administrators_what_is_disabled(
    registry: EmbeddedRegistry, call: Call, version: str
) -> None:
    """Cluster by cluster in 1.x and 3.x, which know DEFAULT unless told; all of them at once in 2.x."""
    await registry.apply(Profile(version))
    registry.edit("orders", "10.0.0.1", 80, enabled=False)
    registry.register("orders", "10.0.0.2", 80, cluster="B")
    path, hosts = CATALOGUES[version]
    seen = {}
    for cluster in ("DEFAULT", "B"):
        query = {"serviceName": "orders", "clusterName": cluster, "pageNo": "1", "pageSize": "10"}
        _, body = await call("GET", f"/nacos/{path}", **query)
        seen[cluster] = [(host["ip"], host["enabled"]) for host in hosts(body)]
    first, second = ("10.0.0.1", False), ("10.0.0.2", True)
    both = [first, second]
    assert seen == ({"DEFAULT": both, "B": both} if version == "2.5.1" else {"DEFAULT": [first], "B": [second]})


@pytest.mark.parametrize("version", CATALOGUES)
async def test_administrators_are_told_what_is_not_known(registry: EmbeddedRegistry, call: Call, version: str) -> None:
    """404 for a service or a cluster; a server of 2.x counts none instead."""
    await registry.apply(Profile(version))
    path, hosts = CATALOGUES[version]
    for query in ({"serviceName": "nobody", "clusterName": "DEFAULT"}, {"serviceName": "orders", "clusterName": "C"}):
        status, body = await call("GET", f"/nacos/{path}", **query, pageNo="1", pageSize="10")
        if version == "2.5.1":
            assert (status, len(hosts(body))) == (200, int(query["serviceName"] == "orders"))
        else:
            assert status == 404
            assert body.endswith("is not found!")


async def test_the_client_list_of_v3_is_of_one_cluster_unless_told(registry: EmbeddedRegistry, call: Call) -> None:
    """DEFAULT without a name, several by their names, all where a comma names none."""
    registry.register("orders", "10.0.0.2", 80, cluster="B")
    registry.naming.refresh(ServiceName("orders"))
    seen = {}
    for clusters in ("", "B", "DEFAULT,B", ","):
        query = {"serviceName": "orders", "clusterName": clusters}
        _, body = await call("GET", "/nacos/v3/client/ns/instance/list", **query)
        seen[clusters] = [host["ip"] for host in body["data"]]
    both = ["10.0.0.1", "10.0.0.2"]
    assert seen == {"": both[:1], "B": both[1:], "DEFAULT,B": both, ",": both}


async def test_what_registers_over_http_has_to_beat(registry: EmbeddedRegistry, call: Call) -> None:
    """Silent for 15 s it is unhealthy, for 30 s gone; a beat in between makes it healthy again."""
    await call("POST", "/nacos/v1/ns/instance", **ADDRESS)
    now = asyncio.get_running_loop().time()
    registry._nacos_api.check_beats(now + UNHEALTHY_AFTER + 1)
    assert [host.healthy for host in registry.instances("orders")] == [True, False]
    _, answer = await call("PUT", "/nacos/v1/ns/instance/beat", **ADDRESS)
    assert answer["code"] == 10200
    assert [host.healthy for host in registry.instances("orders")] == [True, True]
    registry._nacos_api.check_beats(asyncio.get_running_loop().time() + DELETED_AFTER + 1)
    assert [host.ip for host in registry.instances("orders")] == ["10.0.0.1"]
    _, answer = await call("PUT", "/nacos/v1/ns/instance/beat", **ADDRESS)
    assert answer["code"] == 20404


async def test_v3_clients_register_and_beat_on_one_path(registry: EmbeddedRegistry, call: Call) -> None:
    """`heartBeat=true` is a beat: refused with 21003 before the registration, accepted after it."""
    path = "/nacos/v3/client/ns/instance"
    assert (await call("POST", path, **ADDRESS, heartBeat="true"))[1]["code"] == 21003
    assert (await call("POST", path, **ADDRESS))[1]["code"] == 0
    assert (await call("POST", path, **ADDRESS, heartBeat="true"))[1]["code"] == 0
    assert (await call("DELETE", path, **ADDRESS))[1]["code"] == 0
    assert len(registry.instances("orders")) == 1


async def test_a_threshold_is_set_over_http(call: Call) -> None:
    """After an edit of the threshold the list says that it was reached."""
    await call("PUT", "/nacos/v3/admin/ns/service", serviceName="orders", protectThreshold="1")
    _, listed = await call("GET", "/nacos/v1/ns/instance/list", serviceName="orders")
    assert listed["reachProtectionThreshold"] is True


async def test_version_login_and_readiness_answer(call: Call) -> None:
    """What a client asks before anything else is answered as by a 3.1 server without users."""
    assert (await call("GET", "/nacos/v3/admin/core/state"))[1]["data"]["version"] == "3.1.0"
    assert (await call("POST", "/nacos/v3/auth/user/login"))[1]["tokenTtl"] == 18000
    assert (await call("GET", "/nacos/v3/admin/core/state/readiness"))[0] == 200


async def test_a_starting_server_is_not_ready(registry: EmbeddedRegistry, call: Call) -> None:
    """While starting, all paths of Nacos answer 503 and the knobs still work."""
    await registry.apply(Starting())
    assert (await call("GET", "/nacos/v3/admin/core/state/readiness"))[0] == 503
    assert (await call("DELETE", "/faults/starting"))[0] == 200
    assert (await call("GET", "/nacos/v3/admin/core/state/readiness"))[0] == 200


async def test_an_unreadable_parameter_is_the_callers_fault(call: Call) -> None:
    """A port that is no number is answered 400 with the reason."""
    status, text = await call("POST", "/nacos/v1/ns/instance", **{**ADDRESS, "port": "http"})
    assert status == 400
    assert "invalid literal" in text


async def test_users_log_in_where_the_server_has_a_path_for_it(registry: EmbeddedRegistry, call: Call) -> None:
    """A v3-only server knows no v1 path; a wrong password is answered 500, as by a real 3.1."""
    await registry.apply(Auth(login=LoginPath.V3, password="right"))
    good = {"username": "nacos", "password": "right"}
    assert (await call("POST", "/nacos/v1/auth/users/login", **good))[0] == 404
    assert (await call("POST", "/nacos/v3/auth/user/login", username="nacos", password="wrong"))[0] == 500
    status, answer = await call("POST", "/nacos/v3/auth/user/login", **good)
    assert status == 200
    listing = ("GET", "/nacos/v1/ns/instance/list")
    assert (await call(*listing, serviceName="orders"))[0] == 403
    assert (await call(*listing, serviceName="orders", accessToken=answer["accessToken"]))[0] == 200


async def test_a_path_can_be_made_to_fail(registry: EmbeddedRegistry, call: Call) -> None:
    """The next request to it gets the status and text of the knob, the one after it the truth."""
    path = "/nacos/v1/ns/service/list"
    await registry.apply(HttpAnswer(path, status=418, text="odd", times=1))
    assert await call("GET", path) == (418, "odd")
    assert (await call("GET", path))[0] == 200


@pytest.mark.parametrize(
    ("version", "statuses"),
    [("1.4.8", (200, 404, 404)), ("2.5.1", (200, 200, 404)), ("3.1.0", (410, 410, 200)), ("3.2.4", (404, 404, 200))],
)
async def test_each_generation_has_its_paths(
    registry: EmbeddedRegistry, call: Call, version: str, statuses: tuple[int, ...]
) -> None:
    """Where it tells its version, and where there is nothing."""
    await registry.apply(Profile(version))
    for path, status in zip(
        ("v1/console/server/state", "v2/core/cluster/node/self", "v3/admin/core/state"), statuses, strict=True
    ):
        found, body = await call("GET", f"/nacos/{path}")
        assert found == status
        assert (version in str(body)) is (status == 200)
