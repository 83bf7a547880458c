"""Claims about the listening sockets over a reload."""

import socket

import pytest

from sidecar.app.listeners import CannotBindError, Listeners, Wanted
from sidecar.cluster.policy import ServicePolicy
from sidecar.proxy.listener import SharedEntrance
from sidecar.proxy.routing import Router
from sidecar.proxy.runtime import Runtime


def _wanted(name: str, address: str) -> Wanted:
    return Wanted(name, address, SharedEntrance(Router(), ServicePolicy(name)))


def _listening(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with socket.socket() as one:
        return one.connect_ex((host, int(port))) == 0


async def _open(listeners: Listeners, *wanted: Wanted) -> list[str]:
    listeners.commit(wanted, await listeners.prepare(wanted))
    return [one.bound or "" for one in listeners]


async def test_one_taken_address_opens_nothing() -> None:
    """When the second of two addresses is taken, the first is let go of, and the error names name, address and remedy."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        listeners = Listeners(Runtime())
        with pytest.raises(CannotBindError, match=rf"cannot bind {address} for orders: .*; free the port"):
            await listeners.prepare([_wanted("shared", "127.0.0.1:0"), _wanted("orders", address)])
    assert list(listeners) == []


async def test_an_address_that_stays_keeps_its_socket() -> None:
    """A port that both configurations want is not closed in between, even when it changes its name."""
    listeners = Listeners(Runtime())
    (bound,) = await _open(listeners, _wanted("first", "127.0.0.1:0"))
    renamed = await _open(listeners, _wanted("first", "127.0.0.1:0"))
    assert renamed == [bound]
    listeners.close()


async def test_a_port_can_go_from_one_service_to_another() -> None:
    """Two services swap their ports in one reload without either port being refused."""
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        a, b = (f"127.0.0.1:{s.getsockname()[1]}" for s in (one, two))
    listeners = Listeners(Runtime())
    await _open(listeners, _wanted("orders", a), _wanted("stock", b))
    new = [_wanted("orders", b), _wanted("stock", a)]
    await _open(listeners, *new)
    assert {(one.name, one.bound) for one in listeners} == {("orders", b), ("stock", a)}
    assert {id(one.entrance) for one in listeners} == {id(one.entrance) for one in new}
    listeners.close()


async def test_what_nobody_wants_stops_listening() -> None:
    """A listener that the new configuration lacks refuses connections; the others go on."""
    listeners = Listeners(Runtime())
    first, second = await _open(listeners, _wanted("orders", "127.0.0.1:0"), _wanted("stock", "127.0.0.1:0"))
    await _open(listeners, _wanted("stock", "127.0.0.1:0"))
    assert not _listening(first)
    assert _listening(second)
    listeners.close()
    assert not _listening(second)
