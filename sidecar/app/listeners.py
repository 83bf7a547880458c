"""Every listening socket for the app: which there are, which a reload opens, keeps, hands over and closes.

A socket is known by its address, not by its name: a reload may give one service's port to another, and a port that is
already ours cannot be bound a second time. Only `port 0` (any free one) belongs to a name.

Connections outlive the listener they came through. Those of one that is closed stay with its service, by that service's
configuration in force: an app that keeps a connection must not be left with the instances of the day it connected.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from weakref import WeakSet

from sidecar.proxy.listener import Listener, OwnEntrance, SharedEntrance
from sidecar.proxy.runtime import Runtime
from sidecar.proxy.transparent import TransparentEntrance

SHARED = "shared"
"""Name of the listener that routes by Host; a service's own listener bears the service's name."""

TRANSPARENT = "transparent"
"""Name of the listener for redirected connections, of both its sockets."""

ADMIN = "admin"
"""Name of the operator's listener in messages and in /server_info."""

FACADE, FACADE_GRPC = "facade", "facade-grpc"
"""The two ports of the façade."""

Entrance = OwnEntrance | SharedEntrance


@dataclass(frozen=True, slots=True)
class Entrances:
    """All ways into the services of a configuration, listened to or not."""

    services: Mapping[str, OwnEntrance]
    shared: SharedEntrance
    transparent: SharedEntrance

    def instead_of(self, old: Entrance) -> Entrance:
        """Where connections go on that came in by `old`; a service that is gone takes no more requests."""
        if isinstance(old, TransparentEntrance):
            return self.transparent
        if isinstance(old, SharedEntrance):
            return self.shared
        if (heir := self.services.get(old.policy.name)) is not None:
            return heir
        old.service = None
        return old


class CannotBindError(Exception):
    """An address cannot be had; nothing was changed. `path` is its key in the YAML."""

    def __init__(self, name: str, address: str, error: OSError) -> None:
        self.path = {
            SHARED: "listen",
            TRANSPARENT: "transparent",
            ADMIN: "admin.listen",
            FACADE: "facade.listen",
        }.get(name, f"services[{name}].listen")
        reason = error.strerror or str(error)
        super().__init__(f"cannot bind {address} for {name}: {reason}; free the port, or change the address")


@dataclass(frozen=True, slots=True)
class Wanted:
    """One listener of the configuration."""

    name: str
    address: str
    entrance: Entrance

    @property
    def key(self) -> str:
        """What makes two listeners the same socket."""
        return f"{self.address} {self.name}" if self.address.endswith(":0") else self.address


class Listeners:
    """The open ones, in the order of the configuration."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._open: dict[str, Listener] = {}
        self._left: WeakSet[Listener] = WeakSet()
        """Closed ones that connections still come through."""

    def __iter__(self) -> Iterator[Listener]:
        return iter(self._open.values())

    async def prepare(self, wanted: Iterable[Wanted]) -> Mapping[str, Listener]:
        """Opens those that are not open yet, all or none; they accept at once, under their new entrance."""
        opened: dict[str, Listener] = {}
        for one in wanted:
            if one.key in self._open:
                continue
            listener = Listener(one.name, one.address, one.entrance, self._runtime)
            try:
                await listener.open()
            except OSError as error:
                for other in opened.values():
                    other.close_listening()
                raise CannotBindError(one.name, one.address, error) from error
            opened[one.key] = listener
        return opened

    def commit(self, wanted: Iterable[Wanted], opened: Mapping[str, Listener], entrances: Entrances) -> None:
        """Puts the new set in force: entrances are swapped, what nobody wants any more stops accepting."""
        now: dict[str, Listener] = {}
        for one in wanted:
            listener = opened.get(one.key) or self._open.pop(one.key)
            listener.name, listener.entrance = one.name, one.entrance
            now[one.key] = listener
        self._left.update(self._open.values())
        self.close()
        self._open = now
        for listener in self._left:
            listener.entrance = entrances.instead_of(listener.entrance)

    def close(self) -> None:
        """Stops accepting everywhere; open connections go on."""
        for listener in self._open.values():
            listener.close_listening()
        self._open.clear()
