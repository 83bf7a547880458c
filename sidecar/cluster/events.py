"""All that can happen, as values. The core returns them; the application logs them, counts them and keeps a ring.

Each class is one `kind` of the contract. `service` is the configured name or None, `endpoint` an `ip:port` or
None; every further field is the event's `detail`, durations in seconds. `text` is the sentence for people.

Some are facts, which came from outside: a list, the end of a dial, an order of the operator. The others are what was
decided upon them. `replay` feeds the facts of a saved timeline to another configuration.
"""

import enum
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from sidecar.cluster.instance import Instance
from sidecar.cluster.notation import written

SHOWN = 50
"""How many of a list are named in a line for people."""


class Level(enum.Enum):
    """How loud an event is in the event log."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What every event has; `kind` and `level` belong to the class."""

    kind: ClassVar[str]
    level: ClassVar[Level] = Level.INFO
    service: str | None = None
    endpoint: str | None = None

    @property
    def detail(self) -> dict[str, Any]:
        """The event's own fields, in order of declaration; None where a fact is not known."""
        return self._fields(_WHOLE)

    @property
    def brief(self) -> dict[str, Any]:
        """The same for a line of text: long lists are cut."""
        return self._fields(_BRIEF)

    @property
    def text(self) -> str:
        """One sentence: whom it concerns, what happened, the facts."""
        subject = " ".join(part for part in (self.service, self.endpoint) if part)
        return f"{subject + ': ' if subject else ''}{self._sentence()}"

    def _sentence(self) -> str:
        facts = [f"{name}={words}" for name, value in self.brief.items() if (words := _in_words(value)) is not None]
        return " ".join([self.kind.replace("_", " "), *facts])

    def _fields(self, form: str) -> dict[str, Any]:
        own = (f for f in fields(self) if f.name not in {"service", "endpoint"})
        return {f.name: f.metadata.get(form, _as_it_is)(getattr(self, f.name)) for f in own}


_WHOLE, _BRIEF = "whole", "brief"
"""Keys of a field's metadata: how it is shown, where it is not shown as it is."""


def _as_it_is(value: Any) -> Any:
    return value


def _in_words(value: Any) -> str | None:
    """A fact for people; None where it is not known, or nothing that fits in a sentence."""
    match value:
        case bool():
            return str(value).lower()
        case float():
            return str(round(value, 3)).removesuffix(".0")
        case tuple():
            return ", ".join(map(str, value)) or None
        case None | dict():
            return None
        case _:
            return str(value)


def _listed(limit: int | None) -> Callable[[tuple[Instance, ...] | None], tuple[str, ...] | None]:
    return lambda instances: None if instances is None else tuple(written(one) for one in instances[:limit])


@dataclass(frozen=True, slots=True, kw_only=True)
class PushArrived(Event):
    """A list arrived; `instances` is all of it, None where it says what the one before said, or where it was cut.

    In `/events` each is a text such as `10.0.0.1:8080*1` (see `notation`). Lists that change nothing are told of when
    they came by themselves, and when they are the first to repeat another, which is what may confirm it.
    """

    kind: ClassVar[str] = "push"
    level: ClassVar[Level] = Level.DEBUG
    origin: str
    via: str
    epoch: int
    offered: int
    result: str
    protect: bool | None = None
    """The registry's reachProtectionThreshold; None where the message cannot tell."""
    instances: tuple[Instance, ...] | None = field(
        default=None, metadata={_WHOLE: _listed(None), _BRIEF: _listed(SHOWN)}
    )
    cut: bool | None = None
    """The timeline has let go of the list to make room for younger ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotApplied(Event):
    """The list in force changed."""

    kind: ClassVar[str] = "snapshot_applied"
    origin: str
    instances: int
    added: int
    removed: int
    changed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PushRefused(Event):
    """A list was doubted; what it misses is held."""

    kind: ClassVar[str] = "push_refused"
    why: str
    kept: int
    offered: int

    def _sentence(self) -> str:
        what = f"list of {self.offered}" if self.offered else "empty list"
        return f"{what} refused, {self.kept} instance{'' if self.kept == 1 else 's'} held"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListWithheld(Event):
    """The façade did not pass an empty or shrunk list on to the app. Told once, until a complete one passes.

    `offered` stand on the list, `kept` were added to it.
    """

    kind: ClassVar[str] = "list_withheld"
    level: ClassVar[Level] = Level.WARNING
    offered: int
    kept: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldOrdered(Event):
    """The operator refuses all removals for a while."""

    kind: ClassVar[str] = "hold_ordered"
    for_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ObeyOrdered(Event):
    """The operator believes the registry's list, and takes an order to hold back."""

    kind: ClassVar[str] = "obey_ordered"


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondOpinionHeard(Event):
    """Another registry node answered about what is held: it agrees (misses it too), partly, or disagrees; or is silent.

    Told when its answer is the first on the list in force, or has changed. `lists` are those it still lists; under the
    verdict `switched_off` those that a list for administrators shows out of use, which is an order. Under `silent` the
    servers are all that were asked in vain.
    """

    kind: ClassVar[str] = "second_opinion"
    server: str
    verdict: str
    misses: int | None = None
    lists: tuple[str, ...] = field(default=(), metadata={_BRIEF: lambda lists: lists[:SHOWN]})


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldEnded(Event):
    """Held endpoints were let go or listed again; `by` is restored, gone, confirmed, expired or obeyed."""

    kind: ClassVar[str] = "hold_ended"
    by: str
    left: int
    """Endpoints still held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointAdded(Event):
    """An endpoint is known from now on. A list may bring thousands; the log has `snapshot_applied` for them all."""

    kind: ClassVar[str] = "endpoint_added"
    level: ClassVar[Level] = Level.DEBUG
    weight: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointRemoved(Event):
    """An endpoint left the snapshot; requests in flight finish."""

    kind: ClassVar[str] = "endpoint_removed"
    level: ClassVar[Level] = Level.DEBUG
    in_flight: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointIsSelf(Event):
    """An endpoint is one of our own addresses and gets nothing (a loop)."""

    kind: ClassVar[str] = "endpoint_is_self"
    level: ClassVar[Level] = Level.WARNING


@dataclass(frozen=True, slots=True, kw_only=True)
class RedirectRefused(Event):
    """A connection to the transparent listener was reset; told once a minute for each reason, with what to do."""

    kind: ClassVar[str] = "redirect_refused"
    level: ClassVar[Level] = Level.WARNING
    why: str
    meant_for: str | None
    """Where it was meant to go; None: the kernel knows of no such place."""
    do: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointLeaving(Event):
    """An endpoint announced its end."""

    kind: ClassVar[str] = "endpoint_leaving"
    signal: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Zombie(Event):
    """The registry lists an endpoint as healthy, but it has refused for some time. Told once, at the beginning."""

    kind: ClassVar[str] = "zombie"
    level: ClassVar[Level] = Level.WARNING
    reason: str
    refusing_s: float
    dials: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ghost(Event):
    """The registry lists an endpoint no more, but it answers; `proof` is what showed it. Told once, at the beginning."""

    kind: ClassVar[str] = "ghost"
    proof: str
    unlisted_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointQuarantined(Event):
    """A connect failed: out at once; probed with back-off. Told again when another cause keeps it out."""

    kind: ClassVar[str] = "endpoint_quarantined"
    level: ClassVar[Level] = Level.WARNING
    reason: str
    cause: str | None = None
    """Why, where more is known than the reason: of `tls`, with what to do about it."""
    next_probe_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointRecovered(Event):
    """A quarantined endpoint can be connected again."""

    kind: ClassVar[str] = "endpoint_recovered"
    after_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointStalled(Event):
    """An endpoint owes answers and is silent while others answer."""

    kind: ClassVar[str] = "endpoint_stalled"
    level: ClassVar[Level] = Level.WARNING
    owed: int
    silent_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointEjected(Event):
    """An endpoint's answers were bad, or the operator took it out (`reason` operator, `times` 0)."""

    kind: ClassVar[str] = "endpoint_ejected"
    level: ClassVar[Level] = Level.WARNING
    reason: str
    for_s: float
    times: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointRestored(Event):
    """An ejection is lifted: `by` a good answer, the operator, or the end of the time that the operator had given."""

    kind: ClassVar[str] = "endpoint_restored"
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EjectionSuppressed(Event):
    """An ejection was due but would have helped nobody."""

    kind: ClassVar[str] = "ejection_suppressed"
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PanicEntered(Event):
    """Only ejected endpoints are left: they are used."""

    kind: ClassVar[str] = "panic_entered"
    level: ClassVar[Level] = Level.WARNING


@dataclass(frozen=True, slots=True, kw_only=True)
class PanicLeft(Event):
    """An endpoint that is not ejected serves again."""

    kind: ClassVar[str] = "panic_left"


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed(Event):
    """A probe of a held or quarantined endpoint ended."""

    kind: ClassVar[str] = "probe"
    level: ClassVar[Level] = Level.DEBUG
    result: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rescue(Event):
    """A call was answered that would have failed without us."""

    kind: ClassVar[str] = "rescue"
    level: ClassVar[Level] = Level.DEBUG
    by: str
    attempts: int
    dialled: str | None = None
    """The `ip:port` that the app had chosen itself, where it did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryConnected(Event):
    """A registry session is open: every service is subscribed, but for those that the server is too busy to answer."""

    kind: ClassVar[str] = "registry_connected"
    server: str
    epoch: int
    version: str | None = None
    second_node: bool = False
    """There is another node that can be asked about what is held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryDisconnected(Event):
    """A registry session was thrown away; what we held serves on."""

    kind: ClassVar[str] = "registry_disconnected"
    level: ClassVar[Level] = Level.WARNING
    server: str
    epoch: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Starting(Event):
    """The process begins."""

    kind: ClassVar[str] = "starting"
    version: str
    config: str
    loop: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening(Event):
    """A listener is bound."""

    kind: ClassVar[str] = "listening"
    name: str
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready(Event):
    """Every latch is open."""

    kind: ClassVar[str] = "ready"
    took: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadApplied(Event):
    """A new configuration is in force; without changes: after a refusal the file is again the one in force."""

    kind: ClassVar[str] = "reload_applied"
    changes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadRejected(Event):
    """A new configuration was refused as a whole; the old one is in force."""

    kind: ClassVar[str] = "reload_rejected"
    level: ClassVar[Level] = Level.ERROR
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotWriteFailed(Event):
    """A last-good list could not be written; serving goes on."""

    kind: ClassVar[str] = "snapshot_write_failed"
    level: ClassVar[Level] = Level.WARNING
    error: str
    do: str = "let the sidecar's user write to nacos.snapshot_dir, or name another folder"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessLogDropped(Event):
    """The reader of the access log was too slow."""

    kind: ClassVar[str] = "access_log_dropped"
    level: ClassVar[Level] = Level.WARNING
    lines: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopLag(Event):
    """The event loop came late by a second or more."""

    kind: ClassVar[str] = "loop_lag"
    level: ClassVar[Level] = Level.WARNING
    lag_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainStarted(Event):
    """The process is on its way out, or the operator asked for it; serving goes on."""

    kind: ClassVar[str] = "drain_started"
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainWithdrawn(Event):
    """The operator wants it ready again."""

    kind: ClassVar[str] = "drain_withdrawn"


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainEnded(Event):
    """The last event of a process."""

    kind: ClassVar[str] = "drain_ended"
    cut: int
    took: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StateDump(Event):
    """The state of all clusters, on request."""

    kind: ClassVar[str] = "state_dump"
    state: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Crash(Event):
    """An error of ours."""

    kind: ClassVar[str] = "crash"
    level: ClassVar[Level] = Level.ERROR
    error: str
    traceback: str
