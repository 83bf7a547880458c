"""The client library's lists in our words."""

import math
from typing import Any

import pytest

from sidecar.cluster.instance import Instance
from sidecar.cluster.policy import NO_METADATA
from sidecar.discovery.listing import HEAVIEST, Hosts, kept, key
from sidecar.discovery.session import ServiceKey


def host(**changes: Any) -> dict[str, Any]:
    usual = {
        "ip": "10.0.0.1",
        "port": 80,
        "weight": 1.0,
        "healthy": True,
        "enabled": True,
        "clusterName": "DEFAULT",
        "metadata": {},
    }
    return usual | changes


def instances(*hosts: Any) -> tuple[Instance, ...]:
    taken = Hosts()
    for one in hosts:
        taken.take(one)
    return taken.instances()


def test_every_field_arrives() -> None:
    """Address, weight, both health words, cluster and metadata are those of the registry."""
    told = instances(host(weight=0.5, healthy=False, enabled=False, clusterName="A", metadata={"v": "1"}))
    wanted = Instance("10.0.0.1", 80, weight=0.5, healthy=False, enabled=False, cluster="A", metadata={"v": "1"})
    assert told == (wanted,)


def test_what_is_missing_is_what_servers_take_it_for() -> None:
    """An address is enough; null says of metadata that there is none; fields of later versions are left alone."""
    assert instances({"ip": "10.0.0.1", "port": "80", "future": [1]}) == (Instance("10.0.0.1", 80),)
    assert instances({"ip": "10.0.0.1", "port": 80, "metadata": None}) == (Instance("10.0.0.1", 80),)


def test_a_host_that_nobody_can_dial_is_left_out_and_the_others_stay() -> None:
    """A port outside 1..65535 or an empty address costs that entry, not the list."""
    told = instances(host(port=-1), host(port=0), host(port=65536), host(ip=""), host(port=81))
    assert [instance.address for instance in told] == ["10.0.0.1:81"]


@pytest.mark.parametrize(
    "none",
    [
        None,
        {},
        [],
        "10.0.0.1:80",
        host(ip=1),
        host(port="x"),
        host(port=None),
        host(port=math.inf),
        host(weight=None),
        host(weight=10**400),
        host(metadata=[1]),
    ],
)
def test_an_entry_that_is_none_spoils_the_list(none: Any) -> None:
    """Whoever it was might be missing: that list says nothing, whatever else is on it."""
    with pytest.raises(ValueError, match="an entry that is none"):
        instances(host(port=81), none, host(port=82))


@pytest.mark.parametrize(
    ("rest", "told"), [(None, "null"), ({}, "an object"), ("x", '"x"'), (7, "7"), ([{}], "an array elsewhere")]
)
def test_what_stands_in_the_place_of_hosts_is_named_as_the_registry_writes_it(rest: Any, told: str) -> None:
    """An operator reads JSON, not Python."""
    with pytest.raises(ValueError, match=f"^no hosts, but {told}$"):
        Hosts().take_all(rest, taken=True)


def test_what_is_the_same_is_one_object() -> None:
    """Metadata and cluster of a thousand instances take the room of one; no metadata takes none."""
    first, second, bare, other = instances(
        host(port=1, metadata={"v": "1"}, clusterName="eastern"[:4]),
        host(port=2, metadata={"v": "1"}, clusterName="easterly"[:4]),
        host(port=3),
        host(port=4, metadata={"v": "2"}),
    )
    assert first.metadata is second.metadata
    assert first.cluster is second.cluster
    assert bare.metadata is NO_METADATA
    assert dict(other.metadata) == {"v": "2"}


def test_an_instance_that_stays_as_it_is_stays_the_same_object() -> None:
    """One that changed is the new one; those that left are not kept."""
    before = instances(host(port=1), host(port=2), host(port=3))
    now = instances(host(port=3), host(port=2, weight=2.0), host(port=4))
    found = _last(kept(now, before))
    assert found == now
    assert [one is before[2] for one in found] == [True, False, False]
    assert found[1] is now[1]


def _last(steps: Any) -> Any:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


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
    assert bool(instances(host(ip=ip))) is taken


@pytest.mark.parametrize(
    ("weight", "used"), [(0.0, 0.0), (-1.0, 0.0), (math.nan, 0.0), (math.inf, HEAVIEST), (2.5, 2.5)]
)
def test_weights_are_brought_into_range(weight: float, used: float) -> None:
    """Whatever float comes, the balancer gets one from 0 to 10 000."""
    assert instances(host(weight=weight))[0].weight == used


def test_an_instance_without_a_cluster_is_in_the_default_one() -> None:
    """An empty cluster name means DEFAULT."""
    assert instances(host(clusterName=""))[0].cluster == "DEFAULT"


def test_metadata_is_text_and_cannot_be_changed() -> None:
    """What else some provider put in arrives as the registry writes it, null not at all, behind a read-only view."""
    odd = {"n": 1, "canary": True, "zones": ["a", {"b": None}], "none": None}
    metadata = instances(host(metadata=odd))[0].metadata
    assert dict(metadata) == {"n": "1", "canary": "true", "zones": '["a", {"b": null}]'}
    with pytest.raises(TypeError):
        metadata["n"] = "2"  # type: ignore[index]


def test_the_group_may_stand_in_the_name() -> None:
    """`group@@name` and `name` are the same service."""
    assert key("G@@orders", "G") == key("orders", "G") == ServiceKey("orders", "G")


def test_hosts_that_a_message_held_in_one_piece_are_taken_as_well() -> None:
    """Where they were taken one by one, nothing is left in their place."""
    whole, apart = Hosts(), Hosts()
    whole.take_all([host(port=1), host(port=2)], taken=False)
    for one in (host(port=1), host(port=2)):
        apart.take(one)
    apart.take_all([], taken=True)
    assert whole.instances() == apart.instances()


@pytest.mark.parametrize(
    ("hosts", "taken"),
    [(None, False), ({}, False), ("[]", False), ([None], False), ([{}], False), (None, True), ([host()], True)],
)
def test_what_is_no_list_is_never_an_empty_one(hosts: Any, *, taken: bool) -> None:
    """Null least of all; nor is one whose hosts stood elsewhere."""

    def read() -> tuple[Instance, ...]:
        found = Hosts()
        found.take_all(hosts, taken=taken)
        return found.instances()

    with pytest.raises(ValueError, match=r"no hosts|an entry that is none"):
        read()
