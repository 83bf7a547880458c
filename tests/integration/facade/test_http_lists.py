"""Lists over HTTP."""

import json
from typing import Any

import pytest

from sidecar.embedded.faults import HttpAnswer, Profile
from sidecar.embedded.model import ServiceName
from sidecar.facade import http_lists
from sidecar.facade.offers import Lists
from tests.support.facade_stage import Stage, stage
from tests.support.http_client import request
from tests.support.until import settled

V1 = "/nacos/v1/ns/instance/list?serviceName=DEFAULT_GROUP%40%40orders&udpPort=9"


async def body(facade: Stage, path: str = V1) -> Any:
    answer = await request(facade.port, path=path, headers={"Accept-Encoding": "gzip"})
    assert answer.status == 200, answer
    return json.loads(answer.body)


def ports(hosts: list[dict[str, Any]]) -> list[int]:
    return sorted(host["port"] for host in hosts)


async def gone(facade: Stage) -> None:
    """The registry lists nobody, and we do not believe that."""
    facade.registry.deregister("orders", "127.0.0.1", 8001)
    facade.registry.deregister("orders", "127.0.0.1", 8002)
    await settled(lambda: not facade.registry.naming.listing(ServiceName.parse("orders"), "").hosts)
    facade.believe()
    facade.facade._http.lists.forget()


async def test_an_empty_list_is_not_passed_on(facade: Stage) -> None:
    """Each host stays as the registry wrote it; the client is told to ask again soon, since nothing is pushed to it."""
    before = await body(facade)
    assert ports(before["hosts"]) == [8001, 8002]
    await gone(facade)
    after = await body(facade)
    assert (after["hosts"], after["cacheMillis"]) == (before["hosts"], 1000)
    assert after["lastRefTime"] > before["lastRefTime"]
    assert [(event.offered, event.kept) for event in facade.withheld()] == [(0, 2)]


@pytest.mark.parametrize(
    "path",
    ["/nacos/v3/client/ns/instance/list?serviceName=orders", "/nacos/v3/admin/ns/instance/list?serviceName=orders"],
)
async def test_lists_of_3_are_guarded(facade: Stage, path: str) -> None:
    """What clients are told, and what administrators see; those that know no service say so."""
    assert ports((await body(facade, path))["data"]) == [8001, 8002]
    facade.registry.deregister("orders", "127.0.0.1", 8001)
    await settled(lambda: len(facade.registry.instances("orders")) == 1)
    assert ports((await body(facade, path))["data"]) == [8001, 8002]


async def test_lists_of_2_are_guarded(facade: Stage) -> None:
    """The catalogue counts what it shows."""
    await facade.registry.apply(Profile(version="2.5.1"))
    facade.registry.deregister("orders", "127.0.0.1", 8001)
    await settled(lambda: len(facade.registry.instances("orders")) == 1)
    data = (await body(facade, "/nacos/v2/ns/catalog/instances?serviceName=orders"))["data"]
    assert (data["count"], ports(data["instances"])) == (2, [8001, 8002])
    found = await body(facade, "/nacos/v1/ns/catalog/instances?serviceName=orders&clusterName=DEFAULT")
    assert (found["count"], ports(found["list"])) == (2, [8001, 8002])


async def test_the_registry_is_asked_as_often_as_ever(facade: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its answer is given again until it is old, or what is in force has changed."""
    monkeypatch.setattr(http_lists, "UNSETTLED", 0.0)
    for _ in range(5):
        assert ports((await body(facade))["hosts"]) == [8001, 8002]
    assert facade.cluster.stats.facade_lists["passed"] == 5
    await facade.registry.apply(HttpAnswer(path="/nacos/v1/ns/instance/list", status=403, text="no"))
    assert ports((await body(facade))["hosts"]) == [8001, 8002]
    facade.believe(8001)
    assert (await request(facade.port, path=V1)).status == 403


async def test_a_change_that_the_server_shows_late_is_not_missed(facade: Stage) -> None:
    """Who is in force and not on its answer is added."""
    assert ports((await body(facade))["hosts"]) == [8001, 8002]
    facade.believe(8001, 8002, 8003)
    assert ports((await body(facade))["hosts"]) == [8001, 8002, 8003]


async def test_without_the_registry_lists_are_ours(facade: Stage) -> None:
    """In each form that can be made; another question fails."""
    await facade.registry.stop()
    assert ports((await body(facade))["hosts"]) == [8001, 8002]
    assert (await body(facade))["name"] == "DEFAULT_GROUP@@orders"
    assert ports((await body(facade, "/nacos/v2/ns/instance/list?serviceName=orders"))["data"]["hosts"]) == [8001, 8002]
    assert ports((await body(facade, "/nacos/v3/client/ns/instance/list?serviceName=orders"))["data"]) == [8001, 8002]
    admin = await request(facade.port, path="/nacos/v3/admin/ns/instance/list?serviceName=orders")
    other = await request(facade.port, path="/nacos/v1/ns/instance/list?serviceName=other")
    assert (admin.status, other.status) == (503, 503)


async def test_an_error_of_the_server_is_no_empty_list(facade: Stage) -> None:
    """A refusal is passed on; a failure is answered with what is known."""
    await facade.registry.apply(HttpAnswer(path="/nacos/v1/ns/instance/list", status=500, text="ill"))
    assert ports((await body(facade))["hosts"]) == [8001, 8002]
    await facade.registry.apply(HttpAnswer(path="/nacos/v1/ns/instance/list", status=403, text="no"))
    answer = await request(facade.port, path=V1)
    assert (answer.status, answer.body) == (403, b"no")


async def test_the_sidecar_stands_for_all() -> None:
    """Whoever is listed."""
    async with stage(lists=Lists.SIDECAR, listen=("127.0.0.1", 15101)) as facade:
        facade.registry.register("orders", "127.0.0.1", 8001)
        facade.believe(8001)
        assert ports((await body(facade))["hosts"]) == [15101]
        assert (await body(facade, "/nacos/v1/ns/instance/list?serviceName=other"))["hosts"] == []


async def test_only_so_much_is_kept(facade: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of long lists the last one asked for."""
    kept = facade.facade._http.lists
    await body(facade)
    monkeypatch.setattr(http_lists, "MOST_KEPT", kept._size)
    await body(facade, f"{V1}&clusters=")
    assert len(kept._kept) == 1
    monkeypatch.setattr(http_lists, "MOST_ANSWERS", 0)
    await body(facade)
    assert (len(kept._kept), kept._size) == (0, 0)
