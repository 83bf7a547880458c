"""Claims about the listening sockets over a reload."""

import gc
import socket
from random import Random

import pytest

from sidecar.app.listeners import CannotBindError, Entrances, Listeners, Wanted
from sidecar.cluster.cluster import Cluster
from sidecar.cluster.policy import ServicePolicy
from sidecar.proxy.listener import OwnEntrance, SharedEntrance
from sidecar.proxy.routing import Router
from sidecar.proxy.runtime import Runtime
from sidecar.proxy.upstream import Upstream


def _shared(name: str = "-") -> SharedEntrance:
    return SharedEntrance(Router(), ServicePolicy(name))


def _wanted(name: str, address: str) -> Wanted:
    return Wanted(name, address, _shared(name))


def _own(*names: str) -> dict[str, OwnEntrance]:
    runtime = Runtime()
    clusters = (Cluster(ServicePolicy(name), rng=Random(1), now=0.0) for name in names)
    return {one.name: OwnEntrance(Upstream(one, runtime)) for one in clusters}


def _entrances(**services: OwnEntrance) -> Entrances:
    return Entrances(services, _shared(), _shared())


def _listening(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with socket.socket() as one:
        return one.connect_ex((host, int(port))) == 0


async def _open(listeners: Listeners, *wanted: Wanted) -> list[str]:
    listeners.commit(wanted, await listeners.prepare(wanted), _entrances())
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


async def test_a_closed_listener_leaves_its_connections_to_its_service_as_it_is_now() -> None:
    """Whatever becomes of the service later: moved, gone, back again, with a port or without."""
    listeners = Listeners(Runtime())
    first, moved, back = (_own("orders") for _ in range(3))
    wanted = [Wanted("orders", "127.0.0.1:0", first["orders"])]
    listeners.commit(wanted, await listeners.prepare(wanted), _entrances(**first))
    (listener,) = listeners
    listeners.commit([], {}, _entrances(**moved))
    assert listener.entrance is moved["orders"]
    listeners.commit([], {}, _entrances())
    assert listener.entrance.service is None
    listeners.commit([], {}, _entrances(**back))
    assert listener.entrance is back["orders"]


async def test_connections_of_a_closed_shared_listener_are_routed_as_it_would_now() -> None:
    """Also by a service that bears its name."""
    listeners = Listeners(Runtime())
    await _open(listeners, _wanted("shared", "127.0.0.1:0"))
    (listener,) = listeners
    now = _entrances(**_own("shared"))
    listeners.commit([], {}, now)
    assert listener.entrance is now.shared


async def test_a_listener_is_forgotten_with_its_last_connection() -> None:
    """Nothing else keeps it."""
    listeners = Listeners(Runtime())
    await _open(listeners, _wanted("shared", "127.0.0.1:0"))
    await _open(listeners)
    gc.collect()
    assert not listeners._left
