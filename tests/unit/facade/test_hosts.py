"""Hosts as we write them."""

import json
from typing import Any

import pytest

from sidecar.cluster.instance import Instance
from sidecar.facade.hosts import host_text, sidecar_text, speaks_dubbo
from sidecar.facade.names import Named

ORDERS = Named.of("orders")


def ours(*instances: Instance, clusters: tuple[str, ...] = (), **certain: str) -> list[dict[str, Any]]:
    text = sidecar_text(ORDERS, ("127.0.0.1", 15101), instances, clusters, certain)
    found: list[dict[str, Any]] = json.loads(f"[{text}]")
    return found


def instance(**metadata: str) -> Instance:
    return Instance("10.0.0.1", 80, metadata=metadata)


def test_an_instance_is_written_as_a_registry_does() -> None:
    """With every field that clients read."""
    text = host_text(Instance("10.0.0.1", 80, weight=2.0, healthy=False, cluster="B", metadata={"ü": "1"}), ORDERS)
    assert json.loads(text) == {
        "instanceId": "10.0.0.1#80#B#DEFAULT_GROUP@@orders",
        "ip": "10.0.0.1",
        "port": 80,
        "weight": 2.0,
        "healthy": False,
        "enabled": True,
        "ephemeral": True,
        "clusterName": "B",
        "serviceName": "DEFAULT_GROUP@@orders",
        "metadata": {"ü": "1"},
    }


def test_the_sidecar_stands_once_in_every_cluster() -> None:
    """So that whoever looks for one finds it there; in DEFAULT where none is known."""
    assert [(h["ip"], h["port"], h["clusterName"]) for h in ours(clusters=("B", "A"))] == [
        ("127.0.0.1", 15101, "A"),
        ("127.0.0.1", 15101, "B"),
    ]
    assert [h["clusterName"] for h in ours()] == ["DEFAULT"]


def test_metadata_is_what_all_agree_on() -> None:
    """A value that differs, or that one lacks, is nobody's."""
    (host,) = ours(instance(version="1", zone="a", tag="x"), instance(version="1", zone="b"))
    assert host["metadata"] == {"version": "1"}


def test_what_is_certain_stands_there_before_anybody_does() -> None:
    """An app that looks for a version finds the sidecar while nobody of that version is there."""
    (nobody,) = ours(version="1", secure="true")
    assert nobody["metadata"] == {"version": "1"}
    (somebody,) = ours(instance(version="1", zone="a"), version="1")
    assert somebody["metadata"] == {"version": "1", "zone": "a"}


@pytest.mark.parametrize(
    "key", ["secure", "gRPC_port", "grpc.port", "gRPCPort", "port", "preserved.heart.beat.timeout", "nacos.x"]
)
def test_what_holds_of_an_instance_alone_is_left_out(key: str) -> None:
    """Its TLS, its ports, its heartbeats."""
    (host,) = ours(instance(**{key: "1", "version": "1", "transport": "x", "report": "y"}))
    assert host["metadata"] == {"version": "1", "transport": "x", "report": "y"}


def test_dubbo_is_known_by_its_names_and_its_metadata() -> None:
    """Its consumers read ports out of metadata: no address of ours would do."""
    assert speaks_dubbo(Named.of("providers:com.x.Y:1.0:"), [])
    assert speaks_dubbo(ORDERS, [instance(**{"dubbo.endpoints": "[]"})])
    assert not speaks_dubbo(ORDERS, [instance(version="1")])
