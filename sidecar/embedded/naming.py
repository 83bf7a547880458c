"""What is published against what is seen: subscribers and queries see a change only when it is pushed. Pure.

The Java server keeps an index of lists that it renews when it pushes, so a query is no fresher than a push; a
threshold, however, is applied when a list is read, so an edit of it shows in queries at once and in no push. Both are
so here.
"""

from collections.abc import Callable, Iterable

from sidecar.embedded.faults import QueryLag
from sidecar.embedded.in_force import Faults
from sidecar.embedded.listing import Listing, derive
from sidecar.embedded.model import PUBLIC, Catalogue, Edit, Instance, Publications, ServiceName


class Naming:
    """The catalogue, and the index of lists as they were last pushed."""

    __slots__ = ("_catalogue", "_changed", "_faults", "_index", "_listings")

    def __init__(self, faults: Faults, changed: Callable[[ServiceName], None]) -> None:
        """`changed` is told each service whose list became another; it calls `refresh` when it pushes."""
        self._catalogue = Catalogue()
        self._faults = faults
        self._changed = changed
        self._index: dict[ServiceName, tuple[Instance, ...]] = {}
        self._listings: dict[tuple[ServiceName, str, bool], Listing] = {}

    def __repr__(self) -> str:
        return f"<Naming {self._catalogue!r}>"

    def publish(self, client: str, service: ServiceName, instances: Iterable[Instance]) -> None:
        """Replaces what `client` said of `service`; no instances = withdrawn."""
        self._tell(self._catalogue.publish(client, service, instances))

    def withdraw_client(self, client: str) -> None:
        self._tell(self._catalogue.withdraw_client(client))

    def set_health(self, service: ServiceName, ip: str, port: int, *, healthy: bool) -> None:
        self._tell(self._catalogue.set_health(service, ip, port, healthy=healthy))

    def edit(self, service: ServiceName, ip: str, port: int, edit: Edit) -> None:
        self._tell(self._catalogue.edit(service, ip, port, edit))

    def set_threshold(self, service: ServiceName, threshold: float) -> None:
        self._catalogue.set_threshold(service, threshold)
        self._drop_listings(service)

    def refresh(self, service: ServiceName) -> None:
        """From now on the list is seen as it is published."""
        self._index[service] = self._catalogue.instances(service)
        self._drop_listings(service)

    def listing(self, service: ServiceName, clusters: str = "", *, healthy_only: bool = False) -> Listing:
        """The list as it is seen."""
        if not self._faults.now(QueryLag).enabled or service not in self._index:
            self.refresh(service)
        wanted = (service, clusters, healthy_only)
        if (listing := self._listings.get(wanted)) is None:
            threshold = self._catalogue.threshold(service)
            listing = derive(
                service, self._index[service], clusters=clusters, healthy_only=healthy_only, threshold=threshold
            )
            self._listings[wanted] = listing
        return listing

    def instances(self, service: ServiceName) -> tuple[Instance, ...]:
        """As published, disabled ones included: what an administrator sees."""
        return self._catalogue.instances(service)

    def services(self, namespace: str = PUBLIC, group: str = "") -> list[str]:
        return self._catalogue.services(namespace, group)

    def publishes(self, client: str, service: ServiceName) -> bool:
        return client in self._catalogue.clients(service)

    def forget_ephemeral(self) -> Publications:
        """As a restart does; nobody is told, since nobody is connected any more."""
        self._index.clear()
        self._listings.clear()
        return self._catalogue.forget_ephemeral()

    def _tell(self, services: Iterable[ServiceName]) -> None:
        for service in services:
            self._changed(service)

    def _drop_listings(self, service: ServiceName) -> None:
        for wanted in [w for w in self._listings if w[0] == service]:
            del self._listings[wanted]
