"""What the supervisor asks of a registry client, and the words in which the client tells how it failed.

A session is opened once, used, and thrown away on the first doubt; nobody repairs one. It does no judging: it
reports what it hears to its owner, and raises what went wrong with a request.
"""

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from sidecar.cluster.instance import Instance
from sidecar.discovery.options import NacosOptions, Server

STARTING = 300
"""The error code of a server that has bound its port and is not ready."""

DISOWNING = range(300, 303)
"""Error codes that concern the connection, not the service asked for: starting, connection unknown, no handler."""


class Trouble(enum.Enum):
    """Why a session is thrown away; the value labels `sidecar_registry_reconnects_total`."""

    OPEN_FAILED = "open_failed"
    QUERY_FAILED = "query_failed"
    UNHEALTHY = "unhealthy"
    CONNECTION_CHANGED = "connection_changed"
    """There is a better way to the registry than this one."""
    STREAM_END = "stream_end"
    LIST_MISMATCH = "list_mismatch"
    RESET_REQUEST = "reset_request"
    MAX_AGE = "max_age"


@dataclass(frozen=True, slots=True)
class ServiceKey:
    """A service as the registry knows it; several services of the YAML may share one."""

    name: str
    group: str


@dataclass(frozen=True, slots=True)
class Listing:
    """One list as the registry said it; `protect` is its reachProtectionThreshold."""

    instances: tuple[Instance, ...]
    protect: bool

    def names_the_same(self, other: "Listing") -> bool:
        """Whether both have the same instances, in whatever order: the registry promises none."""
        return self.instances == other.instances or frozenset(self.instances) == frozenset(other.instances)


class RequestError(Exception):
    """A request to the registry brought no list."""


class Unanswered(RequestError):  # noqa: N818 - what became of the request, raised or passed on
    """Nothing came back, or only a broken connection."""

    def __init__(self, text: str, *, timed_out: bool = False) -> None:
        super().__init__(text)
        self.timed_out = timed_out


class ErrorAnswer(RequestError):  # noqa: N818 - as above
    """The registry answered with an error code."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"error {code}: {text}")
        self.code = code


class Unreadable(RequestError):  # noqa: N818 - as above
    """The registry answered with something that is not a list."""


class Owner(Protocol):
    """Who is told what a session hears. Called on the loop, must not wait and must not call back."""

    def pushed(self, key: ServiceKey, listing: Listing) -> None:
        """A list came by itself."""
        ...

    def unreadable(self, key: ServiceKey, error: str) -> None:
        """A list came by itself and could not be read."""
        ...

    def troubled(self, trouble: Trouble) -> None:
        """The session is no longer to be trusted; may be said more than once."""
        ...


class Session(Protocol):
    """One connection to one registry node."""

    polls: bool
    """Nothing comes by itself: every service is to be asked each `poll_interval`."""

    async def open(self) -> None:
        """Connects and introduces itself; raises RequestError. The caller sets the time limit."""
        ...

    async def subscribe(self, key: ServiceKey) -> Listing:
        """Asks for pushes of `key` and returns the list of now; raises RequestError."""
        ...

    async def query(self, key: ServiceKey) -> Listing:
        """Asks for the list of now; raises RequestError."""
        ...

    async def close(self) -> int:
        """Lets go of everything, never raises; returns how many tasks had to be ended by force."""
        ...


SessionFactory = Callable[[Server, NacosOptions, Owner], Session]
