"""The client library's lists in our words."""

import math
from types import SimpleNamespace
from typing import Any

import pytest

from sidecar.cluster.instance import Instance
from sidecar.discovery.listing import HEAVIEST, from_json, key, listing
from sidecar.discovery.session import ServiceKey


def host(**changes: Any) -> SimpleNamespace:
    usual = {
        "ip": "10.0.0.1",
        "port": 80,
        "weight": 1.0,
        "healthy": True,
        "enabled": True,
        "clusterName": "DEFAULT",
        "metadata": {},
    }
    return SimpleNamespace(**(usual | changes))


def info(*hosts: SimpleNamespace, protect: bool = False) -> SimpleNamespace:
    return SimpleNamespace(name="orders", groupName="G", hosts=list(hosts), reachProtectionThreshold=protect)


def test_every_field_arrives() -> None:
    """Address, weight, both health words, cluster and metadata are those of the registry."""
    told = listing(
        info(host(weight=0.5, healthy=False, enabled=False, clusterName="A", metadata={"v": "1"}), protect=True)
    )
    wanted = Instance("10.0.0.1", 80, weight=0.5, healthy=False, enabled=False, cluster="A", metadata={"v": "1"})
    assert told.instances == (wanted,)
    assert told.protect


def test_a_host_that_nobody_can_dial_is_left_out_and_the_others_stay() -> None:
    """A port outside 1..65535 or an empty address costs that entry, not the list."""
    told = listing(info(host(port=-1), host(port=0), host(port=65536), host(ip=""), host(port=81)))
    assert [instance.address for instance in told.instances] == ["10.0.0.1:81"]


@pytest.mark.parametrize(
    ("ip", "taken"),
    [
        ("10.0.0.1", True),
        ("fe80::1%eth0", True),
        ("provider-1.orders.svc", True),
        ("", False),
        ("10.0.0.1\r\nSet-Cookie: a=b", False),
        ("a..b", False),
        ("a" * 64, False),
        ('10.0.0.1"} 1', False),
        ("http://10.0.0.1", False),
        ("10.0.0.1\n", False),
    ],
)
def test_an_ip_that_is_neither_address_nor_name_is_left_out(ip: str, *, taken: bool) -> None:
    """Text that anyone may register reaches heads, logs and labels: only what can be an address or a name passes."""
    assert bool(listing(info(host(ip=ip))).instances) is taken


@pytest.mark.parametrize(
    ("weight", "used"), [(0.0, 0.0), (-1.0, 0.0), (math.nan, 0.0), (math.inf, HEAVIEST), (2.5, 2.5)]
)
def test_weights_are_brought_into_range(weight: float, used: float) -> None:
    """Whatever float comes, the balancer gets one from 0 to 10 000."""
    assert listing(info(host(weight=weight))).instances[0].weight == used


def test_an_instance_without_a_cluster_is_in_the_default_one() -> None:
    """An empty cluster name means DEFAULT."""
    assert listing(info(host(clusterName=""))).instances[0].cluster == "DEFAULT"


def test_metadata_is_text_and_cannot_be_changed() -> None:
    """Numbers that some provider put in arrive as text, behind a read-only view."""
    metadata = listing(info(host(metadata={"n": 1}))).instances[0].metadata
    assert dict(metadata) == {"n": "1"}
    with pytest.raises(TypeError):
        metadata["n"] = "2"  # type: ignore[index]


def test_lists_in_another_order_have_the_same_members() -> None:
    """The registry promises no order, so comparing lists must not see one."""
    a, b = host(port=1), host(port=2)
    assert listing(info(a, b)).members == listing(info(b, a)).members


def test_the_group_may_stand_in_the_name() -> None:
    """`group@@name` and `name` are the same service."""
    assert key("G@@orders", "G") == key("orders", "G") == ServiceKey("orders", "G")


def test_a_list_from_http_is_read_field_by_field() -> None:
    """What is missing is what servers take it for; fields of later versions are left alone."""
    full = {"ip": "10.0.0.1", "port": 80, "weight": 2, "healthy": False, "enabled": False, "clusterName": "east"}
    found = from_json([{**full, "metadata": {"zone": "a"}, "valid": True}, {"ip": "b", "port": "81"}], protect=True)
    first, second = found.instances
    assert (first.weight, first.healthy, first.enabled, first.cluster) == (2.0, False, False, "east")
    assert dict(first.metadata) == {"zone": "a"}
    assert second == listing(info(host(ip="b", port=81))).instances[0]
    assert found.protect


@pytest.mark.parametrize(
    "hosts", [None, {}, "[]", [None], [{}], [{"ip": 1, "port": 1}], [{"ip": "a", "port": "x"}], [{"ip": "a"}]]
)
def test_what_is_no_list_is_never_an_empty_one(hosts: object) -> None:
    """Null least of all."""
    with pytest.raises((TypeError, ValueError, KeyError)):
        from_json(hosts, protect=False)
