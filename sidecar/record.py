"""What is known of one finished request or tcp connection: the value that the proxy hands to the access log."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """One attempt: the endpoint's `ip:port`, its outcome (`ok` or a reason of `errors.py`), milliseconds."""

    endpoint: str
    outcome: str
    ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One line of the access log, before formatting; what is left out did not take place, or is not known.

    Durations are milliseconds, sizes are body bytes, texts the bytes of the wire decoded as latin-1.
    """

    started: float
    """Wall time, seconds since the epoch."""
    service: str
    """Configured name, `-` before routing."""
    method: str | None = None
    path: str | None = None
    protocol: str | None = None
    code: int
    """0: the app left before a head."""
    flags: str
    """`-` when clean, else Envoy flags joined by commas (errors.FLAG_ORDER)."""
    details: str
    """`via_upstream` or a reason of `errors.py`."""
    bytes_received: int = 0
    bytes_sent: int = 0
    duration: int = 0
    upstream_time: int | None = None
    endpoint: str | None = None
    """`ip:port` of the last attempt."""
    attempts: int = 0
    tries: tuple[AttemptRecord, ...] = ()
    """Every attempt when there were several, else empty."""
    rescued_by: str | None = None
    """retry, wait, guard, proof, address."""
    authority: str | None = None
    user_agent: str | None = None
    request_id: str | None = None
    forwarded_for: str | None = None
    trace_id: str | None = None
