"""The façade of the configuration: opened, kept, changed or closed at a reload, and told of what happens.

Its code is loaded when one is wanted, and beside the event loop: it brings gRPC's server side along.
"""

import asyncio
import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sidecar.admin.views import ListenerInfo
from sidecar.app.listeners import FACADE, FACADE_GRPC, CannotBindError
from sidecar.app.services import Service
from sidecar.app.settings import nacos_options
from sidecar.clock import Rng
from sidecar.cluster.events import Event, Listening
from sidecar.cluster.stats import ProcessStats
from sidecar.config import Config
from sidecar.config.address import Address
from sidecar.discovery.options import NacosOptions
from sidecar.tasks import spawn

if TYPE_CHECKING:
    from sidecar.facade.facade import Facade


GRACE = 1.0
"""Seconds for requests under way through a façade that is closed at a reload."""


class Facades:
    """The one that is open, if any."""

    def __init__(
        self, *, emit: Callable[[Sequence[Event]], None], now: Callable[[], float], rng: Rng, stats: ProcessStats
    ) -> None:
        self._emit = emit
        self._now = now
        self._rng = rng
        self._stats = stats
        self._parts: Any = None
        """The module `facade_parts`, once it is wanted."""
        self._open: Facade | None = None
        self._options: NacosOptions | None = None

    def __repr__(self) -> str:
        return f"<Facades {self._open}>"

    @property
    def connections(self) -> int:
        """Open ones of the app."""
        return len(self._open) if self._open is not None else 0

    def listeners(self) -> Sequence[ListenerInfo]:
        """As /server_info shows them."""
        facade = self._open
        if facade is None:
            return ()
        host, port, offset = facade.address.host, facade.address.port, facade.address.offset
        return (
            ListenerInfo(FACADE, str(Address(host, port)), facade.bound),
            ListenerInfo(FACADE_GRPC, str(Address(host, port and port + offset)), facade.grpc_bound),
        )

    async def prepare(self, config: Config) -> "Facade | None":
        """Opens the façade that a configuration wants, if it is not open yet; raises CannotBindError."""
        wanted = config.facade
        if wanted is None:
            return None
        if self._parts is None:
            self._parts = await asyncio.to_thread(importlib.import_module, "sidecar.app.facade_parts")
        host = "127.0.0.1" if wanted.listen.host == "localhost" else wanted.listen.host
        address = self._parts.Address(host, wanted.listen.port, wanted.grpc_port_offset)
        if self._open is not None and self._open.address == address:
            return None
        registry = self._parts.registry(nacos_options(config), self._rng)
        opened: Facade = self._parts.Facade(address, registry, stats=self._stats, now=self._now)
        try:
            await opened.open()
        except OSError as error:
            raise CannotBindError(FACADE, str(wanted.listen), error) from error
        return opened

    def commit(
        self, config: Config, opened: "Facade | None", services: Mapping[str, Service], bound: Mapping[str, str]
    ) -> list[Event]:
        """Puts it in force; what nobody wants any more is closed. `bound`: the services' listeners by name."""
        options, before = nacos_options(config), self._open
        if config.facade is None or opened is not None:
            self._open = opened
            if before is not None:
                spawn(before.close(GRACE), name="close the replaced façade")
        elif before is not None and options != self._options:
            before.stand_for(self._parts.registry(options, self._rng))
        self._options = options
        if self._open is not None:
            ours, lists = self._parts.own_services(config, services, bound)
            self._open.tell(ours, lists, self._emit)
        if opened is None:
            return []
        return [
            Listening(name=FACADE, address=opened.bound),
            Listening(name=FACADE_GRPC, address=opened.grpc_bound),
        ]

    def heed(self, events: Iterable[Event]) -> None:
        """Of all that happens, what changes lists in force."""
        if self._open is not None:
            self._open.heed(events)

    async def close(self) -> None:
        """The app's clients see their connections end."""
        if self._open is not None:
            await self._open.close()
            self._open = None
