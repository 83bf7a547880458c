"""The shared listener finds a service by the host that a request names."""

import pytest

from sidecar.proxy.routing import Router

ROUTES = Router(
    {
        "orders": 1,
        "Order-Service": 2,
        "*.svc.local": 3,
        "*.deep.svc.local": 4,
        "orders:8081": 5,
        "*.svc.local:9000": 6,
        "[::1]": 7,
    }
)


@pytest.mark.parametrize(
    ("authority", "target"),
    [
        (b"orders", 1),
        (b"ORDERS", 1),
        (b"orders:80", 1),
        (b"orders:8081", 5),
        (b"order-service:15001", 2),
        (b"a.svc.local", 3),
        (b"a.b.svc.local:80", 3),
        (b"a.deep.svc.local", 4),
        (b"a.svc.local:9000", 6),
        (b"svc.local", None),
        (b"ordersx", None),
        (b"", None),
        (b"10.0.0.1:8080", None),
        (b"[::1]:80", 7),
        (b"[::1]", 7),
        (b"orders:", 1),
        (b"[::1]:", 7),
        (b":", None),
        (b"\xff\xfe", None),
    ],
)
def test_the_most_exact_entry_wins(authority: bytes, target: int | None) -> None:
    """Exact before suffix, longest suffix first, a port only where the entry has one."""
    assert ROUTES.find(authority) == target
    assert ROUTES.find(authority) == target


def test_invented_hosts_do_not_fill_the_memory() -> None:
    """However many unknown hosts are asked for, a bounded number of answers is kept."""
    router = Router({"orders": 1})
    for number in range(5000):
        assert router.find(b"host-%d" % number) is None
    assert len(router._known) <= 1024
    known = len(router._known)
    assert router.find(b"x" * 60_000 + b".example") is None
    assert len(router._known) == known
    assert router.find(b"orders") == 1


def test_the_repr_says_what_it_holds() -> None:
    """An operator can read the size of the table."""
    assert repr(ROUTES) == "<Router 4 names, 3 suffixes>"
