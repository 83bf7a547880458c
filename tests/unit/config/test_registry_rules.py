"""Rules about the registry."""

from pathlib import Path

import pytest

from tests.support.configs import MINIMAL, refusal, service


def test_a_group_does_not_stand_in_the_name(tmp_path: Path) -> None:
    """It would be subscribed to, and no push would ever be for it."""
    (found,) = refusal(tmp_path, service("discovery: {service: G@@orders}"))
    assert found == (
        "sidecar.yaml:4:26: services[0].discovery.service: 'G@@orders' is a group and a name: "
        "say service: orders, and group: G beside it"
    )
    assert refusal(tmp_path, service("discovery: {service: orders, group: G}")) == []


@pytest.mark.parametrize(
    ("keys", "where"),
    [
        ("server_addresses: [a, 'b:65000']", "sidecar.yaml:3:31: nacos.server_addresses[1]: the gRPC port of b:65000"),
        ("server_addresses: 'b:65000'", "sidecar.yaml:3:27: nacos.server_addresses: the gRPC port of b:65000"),
        ("grpc_port_offset: 60000", "sidecar.yaml:3:27: nacos.grpc_port_offset: the gRPC port of 127.0.0.1:8848"),
    ],
)
def test_both_ports_of_a_server_are_ports(tmp_path: Path, keys: str, where: str) -> None:
    """At the address; at the offset where that alone is written."""
    (found,) = refusal(tmp_path, MINIMAL + f"nacos: {{{keys}}}\n")
    assert found.startswith(where)
    assert found.endswith(": lower nacos.grpc_port_offset")


def test_the_highest_port_is_one(tmp_path: Path) -> None:
    """Nothing is refused that can be dialled."""
    assert refusal(tmp_path, MINIMAL + "nacos: {server_addresses: 'a:64535'}\n") == []
