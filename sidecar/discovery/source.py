"""The seam behind which lists come from somewhere: a registry, the YAML, later another client.

A source yields what it learns, in order of arrival; it never decides whether a list is believed (the guard does)
and never waits for a reader. One source serves every service of its kind.
"""

import itertools
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from sidecar.cluster.instance import Push, Silence, Statement
from sidecar.discovery.questions import Enquiry

EPOCHS = itertools.count(1)
"""Running numbers of registry sessions, over all sources of the process: a source that replaces another goes on."""

SEQUENCES = itertools.count(1)
"""Running numbers of lists, over all sources of the process."""


@dataclass(frozen=True, slots=True)
class Connected:
    """A registry session is open and every service is subscribed; its lists follow under the same `epoch`."""

    epoch: int
    server: str
    version: str | None = None
    """None while it is not known: then `Identified` may follow."""
    others: int = 0
    """Other nodes of the same registry that are configured."""


@dataclass(frozen=True, slots=True)
class Identified:
    """The node of session `epoch` runs `version`; said where `Connected` came before it was known."""

    epoch: int
    version: str


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The session `epoch` is thrown away; `reason` labels `sidecar_registry_reconnects_total`."""

    epoch: int
    server: str
    reason: str


@dataclass(frozen=True, slots=True)
class Malformed:
    """A list of this service could not be read; what was known stays in force."""

    service: str
    epoch: int
    error: str


Update = Push | Statement | Silence | Connected | Identified | Disconnected | Malformed


class InstanceSource(Protocol):
    """Where lists of instances come from."""

    def updates(self) -> AsyncIterator[Update]:
        """All that is learnt, in order of arrival, without end; to be iterated once."""
        ...

    def doubt(self, services: Collection[str]) -> None:
        """Names of services (as in the YAML) whose list is in doubt just now: refusing endpoints, held ones, none usable.

        They are asked again each second until the next call, which replaces the set.
        """
        ...

    def enquire(self, enquiries: Mapping[str, Enquiry]) -> None:
        """What is to be found out, by names of services of which something is held; until the next call.

        What nodes answer comes as `Statement`s, and as `Silence` that none of them does. A source that has nobody to ask does nothing.
        """
        ...

    async def close(self) -> None:
        """Ends iteration and lets go of every connection, task and file; never raises."""
        ...
