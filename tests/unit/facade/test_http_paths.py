"""Which requests are about lists, or about the app."""

import json

import pytest

from sidecar.facade.http1 import Request
from sidecar.facade.http_paths import (
    LISTS,
    asks_for_health,
    asks_for_servers,
    is_registration,
    list_request,
    registration,
)
from sidecar.facade.names import Named
from sidecar.facade.wanted import Wanted


def request(target: str, method: str = "GET") -> Request:
    return Request(method, target, [], 1, keep_alive=True)


def test_the_servers_own_pushes_are_not_asked_for() -> None:
    """Where it would push to is cut out of the question; all else stays to the byte."""
    asked = list_request(
        request(
            "/nacos/v1/ns/instance/list?serviceName=G%40%40orders&udpPort=5&clusters=A%2CB&clientIP=1&healthyOnly=true"
        )
    )
    assert asked is not None
    assert asked.target == (
        "/nacos/v1/ns/instance/list?serviceName=G%40%40orders&clusters=A%2CB&clientIP=1&healthyOnly=true"
    )
    assert asked.key == "/nacos/v1/ns/instance/list?serviceName=G%40%40orders&clusters=A%2CB&healthyOnly=true"
    assert asked.named == Named.of("orders", "G")
    assert asked.wanted == Wanted(frozenset({"A", "B"}), healthy_only=True)


@pytest.mark.parametrize("path", LISTS)
def test_every_path_with_a_list_is_known(path: str) -> None:
    """Behind any context path."""
    asked = list_request(request(f"/other/path{path}?serviceName=orders&namespaceId=test&groupName=G&clusterName=A"))
    assert asked is not None
    assert asked.named == Named.of("orders", "G", "test")


@pytest.mark.parametrize(
    ("target", "method"),
    [
        ("/nacos/v1/ns/instance/list", "GET"),
        ("/nacos/v1/ns/instance/list?serviceName=orders", "POST"),
        ("/nacos/v1/ns/service/list?serviceName=orders", "GET"),
        ("/nacos/v1/cs/configs?dataId=list", "GET"),
    ],
)
def test_everything_else_is_no_question_for_a_list(target: str, method: str) -> None:
    """It passes."""
    assert list_request(request(target, method)) is None


def test_a_list_is_answered_as_its_generation_does() -> None:
    """Where it can be."""
    v1, v2, v3 = (LISTS[path].alone for path in list(LISTS)[:3])
    assert v1 is not None
    assert v2 is not None
    assert v3 is not None
    named = Named.of("orders", "G")
    assert json.loads(v1(named, "", '{"ip":"x"}', 7))["name"] == "G@@orders"
    assert json.loads(v2(named, "", '{"ip":"x"}', 7))["data"]["hosts"] == [{"ip": "x"}]
    assert json.loads(v3(named, "", '{"ip":"x"}', 7))["data"] == [{"ip": "x"}]


def test_the_app_registers_itself_by_query_or_by_form() -> None:
    """And keeps itself alive, and takes itself back."""
    for path in ("/nacos/v1/ns/instance", "/nacos/v2/ns/instance", "/nacos/v3/client/ns/instance"):
        assert is_registration(request(path, "POST"))
    assert is_registration(request("/nacos/v1/ns/instance/beat?x=1", "PUT"))
    assert not is_registration(request("/nacos/v1/ns/instance"))
    assert not is_registration(request("/nacos/v1/cs/configs", "POST"))
    found = registration(request("/nacos/v1/ns/instance?ip=1.1.1.1&port=80", "POST"), {"serviceName": "G@@orders"})
    assert found is not None
    assert (found.named, found.address, found.withdrawn) == (Named.of("orders", "G"), "1.1.1.1:80", False)
    gone = registration(request("/nacos/v1/ns/instance?ip=1.1.1.1&port=80&serviceName=orders", "DELETE"), {})
    assert gone is not None
    assert gone.withdrawn
    assert registration(request("/nacos/v1/ns/instance?ip=1.1.1.1", "POST"), {}) is None


def test_servers_and_health_are_asked_for_by_their_paths() -> None:
    """At an address server, and of a 1.x."""
    assert asks_for_servers(request("/nacos/serverlist?x=1"))
    assert not asks_for_servers(request("/nacos/serverlist", "POST"))
    assert asks_for_health(request("/nacos/v1/ns/operator/metrics"))
    assert not asks_for_health(request("/nacos/v1/ns/operator/switches"))
