"""A service on a stage whose timeline is kept as a running sidecar keeps it, and can be saved and replayed."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from sidecar.admin import views
from sidecar.cluster.endpoint import Endpoint
from sidecar.cluster.events import Event, RegistryConnected, RegistryDisconnected
from sidecar.cluster.instance import Instance, Silence, Statement, View
from sidecar.cluster.policy import ServicePolicy
from sidecar.errors import FAILURES
from sidecar.replay.saved import Timeline as Saved
from sidecar.replay.saved import parse
from sidecar.telemetry.timeline import Timeline
from sidecar.telemetry.worth import Worth
from tests.support.clusters import Stage, instance

NOON = 1769853600.0
"""2026-01-31T10:00:00Z, at 100 s of the stage's clock."""


class Recording(Stage):
    """Every event goes into a timeline at its time."""

    def __init__(self, *, size: int = 4096, listed: int = 50_000, **policy: Any) -> None:
        self.timeline = Timeline(size, listed=listed)
        self._worth = Worth()
        self._epoch = 0
        super().__init__(**policy)

    @property
    def policy(self) -> ServicePolicy:
        """Under which it is recorded."""
        return self.cluster.policy

    def connect(self, *, second_node: bool = False) -> None:
        """A registry session opens."""
        self._epoch += 1
        self._said([RegistryConnected(server="10.0.0.9:8848", epoch=self._epoch, second_node=second_node)])
        self._said(self.cluster.registry_connected(self.now, second_node=second_node))

    def disconnect(self) -> None:
        """It is lost."""
        self._said([RegistryDisconnected(server="10.0.0.9:8848", epoch=self._epoch, reason="stream_ended")])
        self._said(self.cluster.registry_disconnected(self.now))

    def hears(self, view: View, listed: str) -> None:
        """Another node answers a question: these letters are on its list."""
        statement = Statement("orders", view, "10.0.0.10:8848", tuple(map(instance, listed)), self.now)
        self._said(self.cluster.hear(statement, self.now))

    def asks_in_vain(self) -> None:
        """Another node is asked, and nobody answers."""
        silence = Silence("orders", ("10.0.0.10:8848",), self.now)
        self._said(self.cluster.hear(silence, self.now))

    def off(self, letters: str) -> None:
        """The list for administrators shows these, switched off."""
        shown = tuple(instance(letter, enabled=False) for letter in letters)
        statement = Statement("orders", View.EVERYTHING, "10.0.0.9:8848", shown, self.now)
        self._said(self.cluster.hear(statement, self.now))

    def ends(self, probed: Endpoint, reason: str) -> None:
        """A probe that was taken from `probes_due` ends so; an empty reason is success."""
        self._said(self.cluster.probed(probed, FAILURES[reason] if reason else None, self.now))

    def crowd(self, count: int) -> None:
        """So many instances are listed at once."""
        listed = tuple(Instance(f"10.1.{n // 250}.{n % 250}", 80) for n in range(count))
        self.lists(listed)

    def tell(self, events: Sequence[Event]) -> None:
        """What some other call of the cluster returned."""
        self._said(events)

    def body(self) -> str:
        """As `/events?n=4096` serves it."""
        return "".join(views.events_json(self.timeline.select(newest=4096)))

    def saved(self) -> Saved:
        """The same, read back."""
        return parse(self.body())

    def events_saved(self) -> list[dict[str, Any]]:
        """The same, as JSON."""
        found: list[dict[str, Any]] = json.loads(self.body())["events"]
        return found

    def _said(self, events: Iterable[Event]) -> list[Event]:
        said = super()._said(events)
        for event in self._worth.keeping(said, self.now):
            self.timeline.append(event, NOON + self.now - 100.0, self.now)
        return said
