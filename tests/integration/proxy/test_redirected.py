"""What the kernel knows of a connection."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from sidecar.proxy.redirected import Place, original_destination, owner
from tests.support.process import run
from tests.support.two_hosts import FAR, FAR6, TOOLS, two_hosts


@contextmanager
def accepted(listener: socket.socket, meant: Place) -> Iterator[socket.socket]:
    """Our end of a connection to `meant`, which comes to the listener."""
    family = socket.AF_INET6 if ":" in meant.host else socket.AF_INET
    with socket.socket(family) as app:
        app.settimeout(20.0)
        app.connect((meant.host, meant.port))
        end, _ = listener.accept()
        with end:
            yield end


def test_a_place_is_written_as_an_address() -> None:
    """IPv6 in brackets."""
    assert str(Place("10.0.0.1", 80)) == "10.0.0.1:80"
    assert str(Place("2001:db8::1", 80)) == "[2001:db8::1]:80"


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_whose_socket_is_at_the_other_end_is_known(host: str) -> None:
    """Our own, here; of a connection that there is not nobody's."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as listener:
        place = Place(host, listener.getsockname()[1])
        with accepted(listener, place) as end:
            assert owner(end, place) == os.geteuid()
            assert owner(end, Place(host, 1)) is None


def test_one_that_is_gone_has_no_owner() -> None:
    """Nor has one that never was."""
    with socket.socket() as unconnected:
        assert owner(unconnected, Place("127.0.0.1", 80)) is None
        assert original_destination(unconnected) is None


@pytest.mark.needs(*TOOLS)
@pytest.mark.parametrize(
    ("listen", "meant"),
    [
        ("127.0.0.1", Place(FAR[0], 3306)),
        ("::1", Place(FAR6, 3306)),
        ("::", Place(FAR[0], 3306)),
        ("::", Place(FAR6, 3306)),
    ],
)
def test_where_a_redirected_connection_was_meant_to_go(listen: str, meant: Place) -> None:
    """In both families, also on one socket for both; and whose it is, though it is redirected."""
    with two_hosts() as network, network.inside(network.near):
        family = socket.AF_INET6 if ":" in listen else socket.AF_INET
        with socket.create_server((listen, 15006), family=family, dualstack_ipv6=listen == "::") as listener:
            for tool, loopback in (("iptables", "127.0.0.0/8"), ("ip6tables", "::1/128")):
                rule = ("-p", "tcp", "!", "-d", loopback, "-j", "REDIRECT", "--to-ports", "15006")
                run(tool, "-t", "nat", "-A", "OUTPUT", *rule)
            with accepted(listener, meant) as end:
                assert original_destination(end) == meant
                assert owner(end, meant) == os.geteuid()
            direct = Place("::1" if ":" in listen else "127.0.0.1", 15006)
            with accepted(listener, direct) as end:
                assert original_destination(end) in {None, direct}
