"""Which addresses lead back to us."""

import pytest

from sidecar.proxy.ourselves import Ourselves, is_local


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "0.0.0.0", "::1", "::ffff:127.0.0.1"])
def test_every_spelling_of_this_host_is_local(host: str) -> None:
    """Loopback as a whole, the wildcard, which leads there too, and IPv4 in the dress of IPv6."""
    assert is_local(host)


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "not an address"])
def test_others_are_not(host: str) -> None:
    """Addresses of documentation belong to nobody."""
    assert not is_local(host)


def test_only_our_ports_lead_back() -> None:
    """As they are when it is asked: a port may be bound, or given up, at any time."""
    ports: set[int] = set()
    ourselves = Ourselves(lambda: ports)
    assert not ourselves.is_at("127.0.0.1", 15001)
    ports.add(15001)
    assert ourselves.is_at("127.0.0.1", 15001)
    assert not ourselves.is_at("192.0.2.1", 15001)
    assert not ourselves.is_at("127.0.0.1", 15002)
    assert repr(ourselves) == "<Ourselves at [15001]>"
