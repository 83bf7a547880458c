"""Addresses."""

from sidecar.cluster.instance import Instance, Origin, Push, Via


def test_an_address_is_ip_and_port() -> None:
    """IPv4 as it is, IPv6 in brackets."""
    assert Instance("10.0.0.1", 8080).address == "10.0.0.1:8080"
    assert Instance("fe80::1", 80).address == "[fe80::1]:80"


def test_instances_are_values() -> None:
    """Equal fields are equal instances, metadata included, and both can be members of a set."""
    one, other = Instance("a", 1, metadata={"k": "v"}), Instance("a", 1, metadata={"k": "v"})
    assert one == other
    assert len({one, other}) == 1
    assert one != Instance("a", 1, metadata={"k": "w"})


def test_a_push_says_where_it_came_from() -> None:
    """Words of origins and ways are those of metrics and events."""
    assert [origin.value for origin in Origin] == ["nacos", "disk", "static"]
    assert [via.value for via in Via] == ["push", "query"]
    assert Push("orders", (), Origin.DISK).protect is None
