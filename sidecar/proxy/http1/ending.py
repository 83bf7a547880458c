"""The end of a request, told once: counters, the rescue, the record for the access log."""

from typing import TYPE_CHECKING

from sidecar.cluster.endpoint import State
from sidecar.cluster.events import Rescue
from sidecar.cluster.stats import CLEAN
from sidecar.errors import FLAG_ORDER, Failure
from sidecar.record import AttemptRecord, Record

if TYPE_CHECKING:
    from sidecar.proxy.http1.exchange import Exchange

_HELD = State.HELD


def end(exchange: "Exchange", code: int, failure: Failure | None, now: float) -> None:
    """Counts the request; `code` 0: the app saw no head. To be called once a request."""
    upstream = exchange.upstream
    stats, runtime = upstream.stats, upstream.runtime
    trouble = exchange.trouble
    flags = CLEAN if failure is None and trouble is None else _flags(exchange, failure)
    stats.requests_in_flight -= 1
    if flags is CLEAN:
        stats.clean[code] = stats.clean.get(code, 0) + 1
    else:
        stats.flagged[code, flags] += 1
    stats.request_duration.observe(now - exchange.started)
    if exchange.received and exchange.attempt is not None and exchange.attempt.connection is not None:
        stats.bytes_to_instance += exchange.received
    stats.bytes_to_app += exchange.sent
    rescued = None
    if failure is None and code < 500:
        attempt, dialled = exchange.attempt, exchange.dialled
        if trouble is not None or (
            attempt is not None
            and (attempt.endpoint.state is _HELD or (dialled is not None and attempt.endpoint.address != dialled))
        ):
            rescued = _rescued_by(exchange)
    if rescued is not None:
        stats.rescued[rescued] += 1
        runtime.emit((_rescue(exchange, rescued),))
    if runtime.wants_record(notable=flags != CLEAN or code >= 500 or rescued is not None):
        runtime.log(record(exchange, code, flags, failure, rescued, now))
    if stats.waiting:
        upstream.wake_soon()


def extra_fields(exchange: "Exchange", status: int) -> bytes:
    """Our own fields on a proxied answer of this status, ready to be added to its head; mostly none."""
    policy = exchange.upstream.policy
    if not policy.via and not policy.debug_headers:
        return b""
    lines = [b"Via: 1.1 nacos-sidecar\r\n"] if policy.via else []
    attempt = exchange.attempt
    if policy.debug_headers and attempt is not None:
        rescued = _rescued_by(exchange) if status < 500 else None
        lines += [
            b"x-sidecar-endpoint: %b\r\n" % attempt.endpoint.address.encode(),
            b"x-sidecar-attempts: %d\r\n" % (len(_tries(exchange)) + 1),
            b"x-sidecar-upstream-time-ms: %d\r\n" % int((exchange.head_at - attempt.started) * 1000),
            b"x-sidecar-rescued: %b\r\n" % (rescued or "-").encode(),
        ]
    return b"".join(lines)


def record(
    exchange: "Exchange", code: int, flags: str, failure: Failure | None, rescued: str | None, now: float
) -> Record:
    """What the access log may say about it."""
    request, attempt, answer = exchange.request, exchange.attempt, exchange.answer
    tries = _tries(exchange)
    if answer is not None and attempt is not None and failure is None:
        tries = (*tries, AttemptRecord(attempt.endpoint.address, "ok", _ms(attempt.started, now)))
    return Record(
        started=exchange.upstream.runtime.wall() - (now - exchange.started),
        service=exchange.upstream.cluster.name,
        method=request.method.decode("latin-1"),
        path=request.target.decode("latin-1"),
        protocol=f"HTTP/1.{request.minor}",
        code=code,
        flags=flags,
        details="via_upstream" if failure is None else failure.reason,
        bytes_received=exchange.received,
        bytes_sent=exchange.sent,
        duration=_ms(exchange.started, now),
        upstream_time=_ms(attempt.started, exchange.head_at) if answer is not None and attempt is not None else None,
        endpoint=attempt.endpoint.address if attempt is not None else None,
        attempts=len(tries),
        tries=tries if len(tries) > 1 else (),
        rescued_by=rescued,
        authority=_text(request.authority),
        user_agent=_text(request.user_agent),
        request_id=_text(request.request_id),
        forwarded_for=_text(request.forwarded_for),
        trace_id=_text(request.trace_id),
    )


def _flags(exchange: "Exchange", failure: Failure | None) -> str:
    flags = {failure.flag} if failure is not None else set()
    if exchange.trouble is not None and exchange.trouble.urx:
        flags.add("URX")
    return ",".join(sorted(flags, key=FLAG_ORDER.index)) or CLEAN


def _by_guard(exchange: "Exchange") -> bool:
    attempt = exchange.attempt
    return attempt is not None and attempt.endpoint.state is _HELD


def _went_elsewhere(exchange: "Exchange") -> bool:
    """The instance that the app had chosen was not available, or it would have been asked first."""
    attempt = exchange.attempt
    return exchange.dialled is not None and attempt is not None and attempt.endpoint.address != exchange.dialled


def _rescued_by(exchange: "Exchange") -> str | None:
    """The first that applies, in the order of the contract; None: a direct call would have gone as well."""
    trouble = exchange.trouble
    if trouble is not None and trouble.proven:
        return "proof"
    if trouble is not None and trouble.tries:
        return "retry"
    if trouble is not None and trouble.waited:
        return "wait"
    if _by_guard(exchange):
        return "guard"
    return "address" if _went_elsewhere(exchange) else None


def _rescue(exchange: "Exchange", by: str) -> Rescue:
    attempt = exchange.attempt
    return Rescue(
        service=exchange.upstream.cluster.name,
        endpoint=attempt.endpoint.address if attempt is not None else None,
        by=by,
        attempts=len(_tries(exchange)) + 1,
        dialled=exchange.dialled,
    )


def _tries(exchange: "Exchange") -> tuple[AttemptRecord, ...]:
    return tuple(exchange.trouble.tries) if exchange.trouble is not None else ()


def _ms(since: float, now: float) -> int:
    return int((now - since) * 1000)


def _text(value: bytes | None) -> str | None:
    return value.decode("latin-1") if value is not None else None
