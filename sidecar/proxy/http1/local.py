"""Answers that the sidecar makes itself: they say what failed, where, and after how many attempts."""

import json
from dataclasses import dataclass

from sidecar.errors import FLAG_ORDER, Failure
from sidecar.proxy.http1.request import RequestHead

_REASONS = {
    400: b"Bad Request", 408: b"Request Timeout", 414: b"URI Too Long", 431: b"Request Header Fields Too Large",
    501: b"Not Implemented", 502: b"Bad Gateway", 503: b"Service Unavailable", 504: b"Gateway Timeout",
    505: b"HTTP Version Not Supported",
}  # fmt: skip


def body_size(answer: bytes) -> int:
    """How much of a whole answer is body: what counters and logs call bytes sent."""
    return len(answer.partition(b"\r\n\r\n")[2])


@dataclass(frozen=True, slots=True)
class LocalAnswer:
    """What a local answer has to tell. `flags` beyond the failure's own, such as URX; `retry_after` whole seconds."""

    failure: Failure
    service: str = "-"
    endpoint: str | None = None
    attempts: int = 0
    flags: tuple[str, ...] = ()
    retry_after: int = 1

    @property
    def joined_flags(self) -> str:
        """All flags in table order."""
        return ",".join(sorted({self.failure.flag, *self.flags}, key=FLAG_ORDER.index))

    @property
    def error(self) -> str:
        """The value of x-sidecar-error: `UF refused 10.0.0.1:8080 attempts=3`."""
        where = f" {self.endpoint}" if self.endpoint else ""
        return f"{self.joined_flags} {self.failure.reason}{where} attempts={self.attempts}"

    def to_app(self, request: RequestHead | None, *, keep_alive: bool, date: bytes, begun: bytes = b"") -> bytes:
        """The whole answer; `request` is None when its head could not be read. `date` is an IMF-fixdate.

        `begun`: what came instead of a head; its method is believed, for a HEAD takes no body whatever the answer.
        """
        error = self.error
        kind, body = b"text/plain; charset=utf-8", f"sidecar: {error}\n".encode()
        if request is not None and request.accepts_json:
            kind, body = b"application/json", self._json(request)
        status = self.failure.status
        head = [
            b"HTTP/1.1 %d %b\r\n" % (status, _REASONS[status]),
            b"date: %b\r\ncontent-type: %b\r\ncontent-length: %d\r\n" % (date, kind, len(body)),
            b"x-sidecar-error: %b\r\n" % error.encode(),
        ]
        if status == 503:
            head.append(b"retry-after: %d\r\n" % min(max(self.retry_after, 1), 30))
        if not keep_alive:
            head.append(b"connection: close\r\n")
        elif request is not None and request.minor == 0:
            head.append(b"connection: keep-alive\r\n")
        head.append(b"\r\n")
        method = request.method if request is not None else begun.lstrip(b"\r\n").partition(b" ")[0]
        if method != b"HEAD":
            head.append(body)
        return b"".join(head)

    def _json(self, request: RequestHead) -> bytes:
        error = {
            "flags": self.joined_flags,
            "reason": self.failure.reason,
            "endpoint": self.endpoint,
            "attempts": self.attempts,
            "service": self.service,
            "request_id": request.request_id.decode("latin-1") if request.request_id else None,
        }
        return json.dumps({"error": error}, separators=(",", ":")).encode()
