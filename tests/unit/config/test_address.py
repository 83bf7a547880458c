"""Addresses of listeners, instances and registry servers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.config.address import Address, listen_address, remote_address, server_address


@pytest.mark.parametrize(
    "text",
    ["127.0.0.1:15001", "[::1]:80", "localhost:0", "0.0.0.0:19901", "db.internal:5432", "a_b:1", "x" * 63 + ".y:1"],
)
def test_an_address_reads_and_writes_the_same(text: str) -> None:
    """`str()` of an address is what the operator wrote, v6 in brackets."""
    assert str(listen_address(text)) == text


@given(host=st.ip_addresses(v=6), port=st.integers(0, 65535))
def test_every_v6_address_survives(host: object, port: int) -> None:
    """Brackets go and come back, whatever is between them."""
    assert str(listen_address(f"[{host}]:{port}")) == f"[{host}]:{port}"


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1",
        ":80",
        "::1:80",
        "[::1]",
        "[1.2.3]:80",
        "256.1.1.1:80",
        "1.2.3:80",
        "a:65536",
        "a:",
        "a b:1",
        "x" * 64 + ":1",
        "a." + "x" * 64 + ":1",
        "http://a:1",
        80,
    ],
)
def test_anything_else_is_no_address(text: object) -> None:
    """A missing port, bare v6, impossible numbers and URLs are refused."""
    with pytest.raises(ValueError, match="an address such as"):
        listen_address(text)


def test_nobody_can_dial_port_zero() -> None:
    """Zero means any free port, which only a listener can have."""
    with pytest.raises(ValueError, match="an address with a port"):
        remote_address("10.0.0.1:0")


def test_a_registry_server_may_leave_its_port_out() -> None:
    """A host alone is asked at 8848; blanks around an entry of a comma list do not matter."""
    assert server_address("nacos") == Address("nacos", 8848)
    assert server_address(" nacos:80 ") == Address("nacos", 80)


@pytest.mark.parametrize(
    ("one", "other", "collides"),
    [
        ("127.0.0.1:80", "127.0.0.1:80", True),
        ("127.0.0.1:80", "localhost:80", True),
        ("0.0.0.0:80", "127.0.0.1:80", True),
        ("127.0.0.1:80", "127.0.0.2:80", False),
        ("127.0.0.1:80", "127.0.0.1:81", False),
        ("127.0.0.1:0", "127.0.0.1:0", False),
        ("[::1]:80", "[0:0::1]:80", True),
    ],
)
def test_two_listeners_collide_where_binding_would_fail(one: str, other: str, *, collides: bool) -> None:
    """One port on one interface, any interface included, whatever the spelling; port 0 never."""
    assert listen_address(one).collides(listen_address(other)) is collides
    assert listen_address(other).collides(listen_address(one)) is collides


@pytest.mark.parametrize(
    ("text", "inside"), [("localhost:1", True), ("127.9.9.9:1", True), ("[::1]:1", True), ("0.0.0.0:1", False)]
)
def test_loopback_is_what_no_other_host_reaches(text: str, *, inside: bool) -> None:
    """The whole of 127/8, ::1 and localhost; a wildcard is not."""
    assert listen_address(text).is_loopback is inside
