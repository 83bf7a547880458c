"""What a handler of the admin port is given and what it gives back; handlers know nothing of HTTP beyond that.

The `Backend` is what the application offers to all of them.
"""

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from sidecar.admin import views
from sidecar.admin.health import Latch
from sidecar.cluster.cluster import Cluster
from sidecar.cluster.events import Event

TEXT, JSON, HTML = "text/plain; charset=utf-8", "application/json", "text/html; charset=utf-8"

Deed = Callable[[Cluster, float], Sequence[Event]]
"""Something done to a cluster, at a loop time."""


class Backend(Protocol):
    """What the application offers to the admin port."""

    def clusters(self) -> Sequence[Cluster]:
        """In the order of the YAML."""
        ...

    def latches(self) -> Sequence[Latch]:
        """As they stand."""
        ...

    def loop_lag(self) -> float:
        """Seconds by which the event loop is late."""
        ...

    def server_info(self) -> views.ServerInfo:
        """The process."""
        ...

    def config_dump(self) -> views.ConfigDump:
        """The configuration in force, secrets masked."""
        ...

    def events(self, *, newest: int, since: int | None, service: str | None, kind: str | None) -> views.Selection:
        """The newest events that match, from number `since` on."""
        ...

    async def metrics(self, accept: str) -> tuple[bytes, str]:
        """Body and content type of a scrape."""
        ...

    def log_level(self) -> str:
        """One of `routes.LEVELS`."""
        ...

    def set_log_level(self, level: str) -> None:
        """Until the next reload."""
        ...

    async def reload(self) -> views.Reloaded:
        """Reads the file again; all or nothing."""
        ...

    def intervene(self, cluster: Cluster, deed: Deed) -> Sequence[Event]:
        """Does this to a cluster now, tells of it and lets the calls that wait know; returns what happened."""
        ...

    def drain(self) -> bool:
        """Readiness off, serving goes on; False once the process is stopping."""
        ...

    def undrain(self) -> bool:
        """Readiness on again; False once the process is stopping."""
        ...

    def quit(self) -> None:
        """The same as SIGTERM, soon."""
        ...


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as handlers see it; a key of the query without a value has an empty one.

    `parts` are what stands in the place of `{name}` in the route's path.
    """

    method: str
    query: Mapping[str, str] = field(default_factory=dict)
    accept: str = ""
    parts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """`pieces` make up the body; the event loop may run between them."""

    pieces: Iterable[str | bytes]
    status: int = 200
    content_type: str = TEXT
    headers: Mapping[str, str] = field(default_factory=dict)


def text(body: str, status: int = 200) -> Answer:
    """A short answer for people."""
    return Answer((body,), status)


def wrong_method(methods: Sequence[str]) -> Answer:
    """405 with what would have been right."""
    allowed = ", ".join(methods)
    return Answer((f"only {allowed}",), 405, headers={"allow": allowed})


def document(body: str, status: int = 200) -> Answer:
    """A JSON document."""
    return Answer((body,), status, JSON)


Handler = Callable[[Backend, Asked], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Route:
    """One endpoint; its first path without the slash is its name in `admin.allow_remote`, an alias's too.

    `{name}` in a path stands for any text without a slash.
    """

    paths: tuple[str, ...]
    methods: tuple[str, ...]
    handle: Handler
    does: str

    @property
    def names(self) -> tuple[str, ...]:
        """What opens it to remote peers."""
        return tuple(path.removeprefix("/") or "index" for path in self.paths)

    def takes(self, method: str) -> bool:
        """HEAD goes wherever GET goes."""
        return ("GET" if method == "HEAD" else method) in self.methods

    def match(self, path: str) -> Mapping[str, str] | None:
        """The parts of a path that is one of this route's, None for any other."""
        for template in self.paths:
            found = re.fullmatch(_PART.sub(r"(?P<\1>[^/]+)", template), path)
            if found is not None:
                return found.groupdict()
        return None


_PART = re.compile(r"\{([a-z]+)\}")
