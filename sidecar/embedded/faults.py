"""The fault knobs: every way in which the embedded registry can be told to misbehave. Pure.

A *condition* stays in force until it is cleared (or has been met `times` times); an *action* happens once, now.
Both are plain values. Over HTTP each is named by its class in snake case, its fields are the JSON body, and the
docstring is its help. Without any condition the registry behaves like a healthy Java server of version 3.1.
"""

import enum
import re
import types
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, cast, get_args, get_type_hints

EVERY = "*"


class Abilities(enum.Enum):
    """How the server negotiates abilities."""

    ACKED = "acked"
    SILENT = "silent"
    NONE = "none"


class Shape(enum.Enum):
    """What a forced list looks like."""

    EMPTY = "empty"
    PARTIAL = "partial"
    HOSTS_NULL = "hosts_null"
    METADATA_NULL = "metadata_null"
    NO_INSTANCE_ID = "no_instance_id"
    UNKNOWN_FIELDS = "unknown_fields"
    LARGE = "large"
    WRONG_GROUP = "wrong_group"


class StreamStatus(enum.Enum):
    """gRPC status with which a stream ends."""

    OK = "ok"
    CANCELLED = "cancelled"


class Afterwards(enum.Enum):
    """What becomes of the connection whose stream was ended."""

    CLOSED = "closed"
    UNREGISTERED = "unregistered"
    SERVED = "served"


class LoginPath(enum.Enum):
    """Where a server lets users log in."""

    NONE = "none"
    V1 = "v1"
    V3 = "v3"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class Condition:
    """In force until cleared. `key()` tells apart several of one kind, e.g. one answer a request type."""

    def key(self) -> str:
        return EVERY


@dataclass(frozen=True, slots=True)
class Action:
    """Happens once."""


@dataclass(frozen=True, slots=True)
class PushTiming(Condition):
    """When pushes go out: after a change (changes in between are merged), again after a subscribe, again if unacked."""

    delay_s: float = 0.5
    second: bool = True
    resend_s: float = 1.0


@dataclass(frozen=True, slots=True)
class QueryLag(Condition):
    """Whether queries lag behind a change as pushes do (Java) or are fresh at once (r-nacos)."""

    enabled: bool = True


@dataclass(frozen=True, slots=True)
class SuppressPushes(Condition):
    """Pushes of a service are lost: the next `times`, or all while null."""

    service: str = EVERY
    times: int | None = None

    def key(self) -> str:
        return self.service


@dataclass(frozen=True, slots=True)
class ForcedList(Condition):
    """Lists of a service are malformed or untrue; `keep` hosts remain in a partial one, `hosts` fill a large one."""

    service: str = EVERY
    shape: Shape = Shape.EMPTY
    keep: int = 1
    hosts: int = 13_000
    in_pushes: bool = True
    in_answers: bool = True
    times: int | None = None

    def key(self) -> str:
        return self.service


@dataclass(frozen=True, slots=True)
class NamesInPushes(Condition):
    """Pushes name namespace, group and service, as those of r-nacos do; Java leaves them out."""


@dataclass(frozen=True, slots=True)
class RefTime(Condition):
    """lastRefTime: the server's clock is off by `skew_ms`, or stands still at `frozen_at_ms`."""

    skew_ms: int = 0
    frozen_at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Answer(Condition):
    """What requests of a type (simple class name, `*` = all) get instead of their answer; fields combine.

    `delay_s` first; then `never`, or gRPC `status` (`UNAVAILABLE` …), or ErrorResponse `error` (300, 301 …), or
    the right body under a wrong `type`; with none of them the true answer. For `times` requests, or until cleared.
    """

    request: str = EVERY
    delay_s: float = 0.0
    never: bool = False
    status: str = ""
    error: int | None = None
    message: str = "forced"
    type: str = ""
    times: int | None = None

    def key(self) -> str:
        return self.request


@dataclass(frozen=True, slots=True)
class Detection(Condition):
    """Idle clients: asked after `idle_s`, evicted without an answer in `answer_s`; `evict_anyway`: though they answer,
    as real servers now and then do.
    """

    enabled: bool = True
    sweep_s: float = 3.0
    idle_s: float = 20.0
    answer_s: float = 5.0
    evict_anyway: bool = False


@dataclass(frozen=True, slots=True)
class Negotiation(Condition):
    """Ability negotiation: offered and acked (Java), offered but never acked, or not offered (r-nacos)."""

    mode: Abilities = Abilities.ACKED


@dataclass(frozen=True, slots=True)
class Starting(Condition):
    """The server answers 300 to every request and turns streams away, as for some seconds after its port opens."""


@dataclass(frozen=True, slots=True)
class BlackHole(Condition):
    """The gRPC side reads and writes nothing but keeps every connection and the open port, like a stopped process."""


@dataclass(frozen=True, slots=True)
class Profile(Condition):
    """The server calls itself `version` and has the HTTP interface of that generation: 1.4, 2.5, 3.1, 3.2."""

    version: str = "3.1.0"


@dataclass(frozen=True, slots=True)
class Auth(Condition):
    """Naming requests need a token, had by `login` for `token_ttl_s`, or a signature where there is an `access_key`."""

    login: LoginPath = LoginPath.BOTH
    username: str = "nacos"
    password: str = "nacos"  # noqa: S105 - what real servers began with
    token_ttl_s: int = 18_000
    access_key: str = ""
    secret_key: str = ""


@dataclass(frozen=True, slots=True)
class HttpAnswer(Condition):
    """HTTP requests to a path (`*` = all under /nacos) are answered after `delay_s`, with `status` where it is not 0.

    For `times` requests, or until cleared.
    """

    path: str = EVERY
    status: int = 0
    text: str = "forced"
    delay_s: float = 0.0
    times: int | None = None

    def key(self) -> str:
        return self.path


@dataclass(frozen=True, slots=True)
class GrpcClosed(Condition):
    """The gRPC port is closed and its connections are gone: a server of 1.x, or a firewall."""


@dataclass(frozen=True, slots=True)
class EndStreams(Action):
    """Ends the streams of one connection id, or of all; `afterwards` is what becomes of its unary requests."""

    status: StreamStatus = StreamStatus.OK
    afterwards: Afterwards = Afterwards.CLOSED
    connection: str = ""


@dataclass(frozen=True, slots=True)
class AbortConnections(Action):
    """TCP reset of every gRPC connection."""


@dataclass(frozen=True, slots=True)
class DetectClients(Action):
    """Sends ClientDetection to every connection now; the time limit of `detection` applies."""


@dataclass(frozen=True, slots=True)
class ResetConnections(Action):
    """Sends ConnectReset to every connection, with a recommended server when `server_ip` is given."""

    server_ip: str = ""
    server_port: str = ""


@dataclass(frozen=True, slots=True)
class RevokeTokens(Action):
    """Every token that was given out is invalid, as after a change of the server's own key."""


@dataclass(frozen=True, slots=True)
class PushNow(Action):
    """Pushes the list of a service to its subscribers `count` times, without delay and without a change."""

    service: str = EVERY
    count: int = 1


@dataclass(frozen=True, slots=True)
class Restart(Action):
    """Stops both ports for `down_s`, answers 300 for `starting_s`, and starts with an empty registry, as real servers do.

    Connections and what their clients registered are gone. Of the instances registered by hand `keep` of each
    service are there at once; the others return one by one: the first `return_after_s` after the server accepts,
    the last `return_over_s` later; null = they never return.
    """

    down_s: float = 0.0
    starting_s: float = 0.0
    keep: int = 0
    return_after_s: float | None = 2.0
    return_over_s: float = 1.0


Fault = Condition | Action


def name_of(kind: type[Fault]) -> str:
    """Its name over HTTP."""
    return re.sub(r"(?<=.)(?=[A-Z])", "_", kind.__name__).lower()


KINDS: Mapping[str, type[Fault]] = {
    name_of(kind): kind for base in (Condition, Action) for kind in cast("list[type[Fault]]", base.__subclasses__())
}
"""Every fault by its name."""


class FaultError(ValueError):
    """A fault that does not exist, or a field that is not of its type."""


def parse(name: str, body: Mapping[str, Any]) -> Fault:
    """The fault `name` with the fields of a JSON object; raises `FaultError` with what is wrong."""
    if (kind := KINDS.get(name)) is None:
        raise FaultError(f"unknown fault {name!r}; there are {', '.join(sorted(KINDS))}")
    hints = get_type_hints(kind)
    if unknown := body.keys() - {f.name for f in fields(kind)}:
        raise FaultError(f"{name} has no field {', '.join(sorted(unknown))}")
    return kind(**{key: _checked(f"{name}.{key}", value, hints[key]) for key, value in body.items()})


def describe(fault: Fault) -> dict[str, Any]:
    """Its fields as JSON."""
    return {key: value.value if isinstance(value, enum.Enum) else value for key, value in asdict(fault).items()}


def _checked(where: str, value: Any, wanted: Any) -> Any:
    if isinstance(wanted, types.UnionType):
        if value is None:
            return None
        wanted = next(kind for kind in get_args(wanted) if kind is not types.NoneType)
    if isinstance(wanted, enum.EnumType):
        members = list(cast("type[enum.Enum]", wanted))
        if (member := next((m for m in members if m.value == value), None)) is not None:
            return member
        raise FaultError(f"{where}: {value!r} is none of {', '.join(m.value for m in members)}")
    if wanted is float and type(value) is int:
        return float(value)
    if type(value) is not wanted:
        raise FaultError(f"{where}: {value!r} is no {wanted.__name__}")
    return value
