"""Every way a request can die, one table.

Why: the answer to the app, the retry decision, the access log and the metric labels all speak of the same
failures; each is one row here, and everything else is derived from the row.

A row tells who is to blame, which status and Envoy flag the app sees, and how much of the request may have
reached an instance. `Sent.NOTHING` is a promise: not one byte was written, so any method may go elsewhere
(RFC 9110 §9.2.2 forbids more for what is not idempotent).
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType


class Sent(enum.Enum):
    """How much of the request may have reached an instance."""

    NOTHING = "nothing: any method may go elsewhere"
    UNKNOWN = "perhaps: idempotent methods, or with proof"
    ANSWERED = "an answer has begun: never again"


class Blame(enum.Enum):
    """Whose fault it is; local answers are 5xx unless the app's message was wrong."""

    APP = "app"
    INSTANCE = "instance"
    SIDECAR = "sidecar"


@dataclass(frozen=True, slots=True)
class Failure:
    """One way to die: `reason` is the word in logs and headers, `flag` is Envoy's, `status` 0 means no answer."""

    reason: str
    flag: str
    status: int
    sent: Sent
    blame: Blame
    cause: str = ""
    """What more is known of one case, in a sentence for people; the rows have none."""

    def __repr__(self) -> str:
        return f"<{self.flag} {self.reason} {self.status}>"

    def because(self, cause: str) -> "Failure":
        """The same row with a cause."""
        return replace(self, cause=cause)


def _table(*rows: Failure) -> Mapping[str, Failure]:
    return MappingProxyType({row.reason: row for row in rows})


_NOTHING, _UNKNOWN, _ANSWERED = Sent.NOTHING, Sent.UNKNOWN, Sent.ANSWERED
_APP, _INSTANCE, _SIDECAR = Blame.APP, Blame.INSTANCE, Blame.SIDECAR

ATTEMPT_FAILURES = _table(
    Failure("refused", "UF", 503, _NOTHING, _INSTANCE),
    Failure("unreachable", "UF", 503, _NOTHING, _INSTANCE),
    Failure("connect_timeout", "UF", 503, _NOTHING, _INSTANCE),
    Failure("tls", "UF", 503, _NOTHING, _INSTANCE),
    Failure("reset", "UR", 502, _UNKNOWN, _INSTANCE),
    Failure("closed", "UC", 502, _UNKNOWN, _INSTANCE),
    Failure("response_timeout", "UT", 504, _UNKNOWN, _INSTANCE),
    Failure("protocol", "UPE", 502, _UNKNOWN, _INSTANCE),
    Failure("app_left", "DC", 0, _UNKNOWN, _APP),
)
"""How one attempt at one endpoint can end, besides `ok`; these words label `sidecar_attempts_total`."""

LOCAL_FAILURES = _table(
    Failure("no_instance", "UH", 503, _NOTHING, _SIDECAR),
    Failure("queue_full", "UO", 503, _NOTHING, _SIDECAR),
    Failure("too_many_requests", "UO", 503, _NOTHING, _SIDECAR),
    Failure("too_many_connections", "UO", 503, _NOTHING, _SIDECAR),
    Failure("no_service", "NR", 502, _NOTHING, _SIDECAR),
    Failure("connect_method", "NR", 501, _NOTHING, _SIDECAR),
    Failure("bad_request", "DPE", 400, _NOTHING, _APP),
    Failure("head_timeout", "DPE", 408, _NOTHING, _APP),
    Failure("uri_too_long", "DPE", 414, _NOTHING, _APP),
    Failure("head_too_large", "DPE", 431, _NOTHING, _APP),
    Failure("unknown_method", "DPE", 501, _NOTHING, _APP),
    Failure("unknown_coding", "DPE", 501, _NOTHING, _APP),
    Failure("unsupported_version", "DPE", 505, _NOTHING, _APP),
    Failure("cut_by_drain", "LR", 0, _UNKNOWN, _SIDECAR),
)
"""Why the sidecar itself answers or ends a request, without an attempt being to blame."""

FAILURES: Mapping[str, Failure] = MappingProxyType({**ATTEMPT_FAILURES, **LOCAL_FAILURES})

OUTCOMES: tuple[str, ...] = ("ok", *ATTEMPT_FAILURES)
"""The outcomes of attempts, in the order of the contract."""

FLAG_ORDER: tuple[str, ...] = (*dict.fromkeys(row.flag for row in FAILURES.values()), "URX")
"""Several flags of one request are joined by commas in this order; URX: a further attempt was not allowed."""
