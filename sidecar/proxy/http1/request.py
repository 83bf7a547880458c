"""Request heads: read once, understood once, assembled once and sent to as many instances as it takes."""

import re
from typing import Final

from sidecar.cluster.policy import Limits
from sidecar.errors import FAILURES
from sidecar.proxy.http1 import parser
from sidecar.proxy.http1.message import (
    BAD_REQUEST,
    FIELD_LINES,
    MAX_LENGTH_DIGITS,
    BadMessage,
    Framing,
    first_value,
    spelled,
    tokens,
    without,
)

IDEMPOTENT: Final = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"})

_NONE, _LENGTH, _CHUNKED = Framing.NONE, Framing.LENGTH, Framing.CHUNKED

_HEAD: Final = re.compile(rb"([A-Z\-]++) ([!-\"$-~]++) HTTP/1\.([01])(\r\n" + FIELD_LINES + rb")\r\n").match

_NOTED: Final = re.compile(
    rb"(\n("
    + b"|".join(
        spelled(name)
        for name in (
            b"host", b"connection", b"content-length", b"transfer-encoding", b"te", b"upgrade", b"keep-alive",
            b"proxy-connection", b"proxy-authorization", b"http2-settings", b"expect", b"x-request-id",
        )
    )
    + rb"):[ \t]*+([^\r\n]*)\r)"
).findall  # fmt: skip

_AUTHORITY: Final = re.compile(rb"(?:[A-Za-z0-9\-._~!$&'()*+,;=%]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?").fullmatch

_ABSOLUTE: Final = re.compile(rb"([A-Za-z][A-Za-z0-9+\-.]*)://([^/?]*)(.*)", re.DOTALL).fullmatch

_PROTECTED: Final = frozenset({b"host", b"authorization", b"cookie", b"cache-control", b"x-request-id"})
"""`Connection` cannot remove these, nor any Content-*: that would be an attack on what stands behind us."""

LEADING_BLANK: Final = 8
"""Empty lines before a request are skipped up to this many bytes (RFC 9112 §2.2 asks for at least one)."""


class RequestHead:
    """One request as the app meant it. Bytes are kept as they came; nothing here is decoded text."""

    __slots__ = (
        "_rest",
        "absolute",
        "authority",
        "expect_continue",
        "fields",
        "framing",
        "keep_alive",
        "length",
        "method",
        "minor",
        "request_id",
        "size",
        "target",
        "te_trailers",
        "upgrade",
    )

    absolute: bool
    """The target came in absolute-form: we were addressed as a forward proxy."""
    authority: bytes | None
    """What the app calls, as it wrote it: the absolute target's, else Host's; None: HTTP/1.0 without Host."""
    expect_continue: bool
    fields: bytes
    """The block of field lines to forward: end-to-end ones only, without Host."""
    framing: Framing
    keep_alive: bool
    """The app would use its connection again."""
    length: int
    """Body bytes with Framing.LENGTH, else 0."""
    method: bytes
    minor: int
    """Of the app's HTTP/1.x: 0 or 1."""
    request_id: bytes | None
    size: int
    """Bytes that the head took of the buffer: the body starts there."""
    target: bytes
    """Origin-form or `*`."""
    te_trailers: bool
    upgrade: bytes | None
    """The protocols offered, when the offer is one that we pass on."""

    def __init__(self, method: bytes, target: bytes, minor: int, fields: bytes, size: int) -> None:
        self.method = method
        self.minor = minor
        self.size = size
        self._rest: bytes | None = None
        self.absolute = False
        self.authority = None
        self.expect_continue = False
        self.framing = _NONE
        self.keep_alive = minor == 1
        self.length = 0
        self.request_id = None
        self.te_trailers = False
        self.upgrade = None
        self.target = target
        self.fields = self._understand(fields)
        if not target.startswith(b"/"):
            self._resolve(target)

    def __repr__(self) -> str:
        body = f" {self.length} bytes" if self.length else f" {self.framing.value}"
        return f"<{self.method.decode()} {self.target.decode('latin-1')}{body}>"

    @property
    def idempotent(self) -> bool:
        """May be applied twice (conventions: GET HEAD OPTIONS TRACE PUT DELETE)."""
        return self.method in IDEMPOTENT

    @property
    def host(self) -> str:
        """The name to route by: lower case, without port and brackets."""
        host, _ = split_authority(self.authority or b"")
        return host

    @property
    def port(self) -> int | None:
        """The port that the app named."""
        _, port = split_authority(self.authority or b"")
        return port

    @property
    def user_agent(self) -> bytes | None:
        return first_value(self.fields, b"user-agent")

    @property
    def forwarded_for(self) -> bytes | None:
        return first_value(self.fields, b"x-forwarded-for")

    @property
    def trace_id(self) -> bytes | None:
        """The 32 hex digits of `traceparent` (W3C Trace Context)."""
        value = first_value(self.fields, b"traceparent")
        parts = value.split(b"-", 3) if value else []
        return parts[1] if len(parts) > 2 and len(parts[1]) == 32 else None

    @property
    def accepts_json(self) -> bool:
        """A local answer may be JSON."""
        return b"application/json" in (first_value(self.fields, b"accept") or b"").lower()

    def to_instance(self, host: bytes | None = None, *, via: bool = False) -> bytes:
        """The head as an instance gets it. `host` replaces the app's own (and must, when `authority` is None).

        What follows Host is assembled once: `request_id` must be set before, further attempts must use the same `via`.
        """
        rest = self._rest
        if rest is None:
            rest = self._rest = self._assemble(via=via)
        return b"".join((self.method, b" ", self.target, b" HTTP/1.1\r\nHost: ", host or self.authority or b"", rest))

    def _assemble(self, *, via: bool) -> bytes:
        parts = [self.fields]
        if self.request_id is not None and first_value(self.fields, b"x-request-id") is None:
            parts.append(b"x-request-id: %b\r\n" % self.request_id)
        if self.framing is _CHUNKED:
            parts.append(b"Transfer-Encoding: chunked\r\n")
        if self.upgrade is not None:
            parts.append(b"Connection: upgrade\r\nUpgrade: %b\r\n" % self.upgrade)
        if self.te_trailers:
            parts.append(b"Connection: TE\r\nTE: trailers\r\n")
        if via:
            parts.append(b"Via: 1.1 nacos-sidecar\r\n")
        parts.append(b"\r\n")
        return b"".join(parts)

    def _understand(self, fields: bytes) -> bytes:
        """Take in the fields that a proxy must see; return those that go on."""
        connection: list[bytes] = []
        codings: list[bytes] | None = None
        length: bytes | None = None
        upgrade = b""
        for line, name, value in _NOTED(fields):
            noted = name.lower()
            if noted == b"host":
                if self.authority is not None:
                    raise BadMessage(BAD_REQUEST, "more than one Host")
                self.authority = value.rstrip(b" \t")
            elif noted == b"connection":
                connection += tokens(value)
            elif noted == b"content-length":
                if length is not None:
                    raise BadMessage(BAD_REQUEST, "more than one Content-Length")
                length = value.rstrip(b" \t")
                continue
            elif noted == b"transfer-encoding":
                codings = (codings or []) + [part.strip(b" \t") for part in value.lower().split(b",")]
            elif noted == b"upgrade":
                upgrade = upgrade + b"," + value if upgrade else value
            elif noted == b"te":
                self.te_trailers = self.te_trailers or b"trailers" in tokens(value)
            elif noted == b"expect":
                self.expect_continue = self.minor == 1 and value.rstrip(b" \t").lower() == b"100-continue"
                if self.minor == 1:
                    continue
            elif noted == b"x-request-id":
                if self.request_id is None and value.rstrip(b" \t"):
                    self.request_id = value.rstrip(b" \t")
                    continue
                if self.request_id is not None:
                    continue
            elif noted == b"proxy-authorization":
                continue
            fields = fields.replace(line, b"", 1)
        self._check_host()
        self._frame(length, codings)
        if connection:
            fields = self._obey_connection(connection, upgrade, fields)
        return fields

    def _check_host(self) -> None:
        if self.authority is None:
            if self.minor == 1:
                raise BadMessage(BAD_REQUEST, "no Host")
        elif _AUTHORITY(self.authority) is None:
            raise BadMessage(BAD_REQUEST, "invalid Host")

    def _frame(self, length: bytes | None, codings: list[bytes] | None) -> None:
        if codings is not None:
            _check_codings(codings, self.minor, length)
            self.framing = _CHUNKED
        elif length is not None:
            if not length.isdigit() or len(length) > MAX_LENGTH_DIGITS:
                raise BadMessage(BAD_REQUEST, "invalid Content-Length")
            self.length = int(length)
            if self.length:
                self.framing = _LENGTH

    def _obey_connection(self, options: list[bytes], upgrade: bytes, fields: bytes) -> bytes:
        self.keep_alive = b"close" not in options and (self.minor == 1 or b"keep-alive" in options)
        for option in options:
            if option not in _PROTECTED and not option.startswith(b"content-"):
                fields = without(fields, option)
        if upgrade and b"upgrade" in options and self.minor == 1:
            self._offer(upgrade)
        return fields

    def _offer(self, upgrade: bytes) -> None:
        """Pass on an offer to switch protocols, but only of a GET without body, and never to h2c."""
        if self.method != b"GET" or self.framing is not _NONE:
            return
        offered = [part.strip(b" \t") for part in upgrade.split(b",")]
        self.upgrade = b", ".join(part for part in offered if part and part.lower() != b"h2c") or None

    def _resolve(self, target: bytes) -> None:
        """A target that is no path: `*`, or absolute-form, which names the host (RFC 9112 §3.2.2, §3.2.4)."""
        if self.method == b"CONNECT":
            raise BadMessage(FAILURES["connect_method"], "CONNECT is not served")
        if target == b"*":
            if self.method != b"OPTIONS":
                raise BadMessage(BAD_REQUEST, "target * without OPTIONS")
            return
        found = _ABSOLUTE(target)
        if found is None or found[1].lower() != b"http" or not _AUTHORITY(found[2]) or found[2][:1] in {b"", b":"}:
            raise BadMessage(BAD_REQUEST, "invalid request target")
        self.absolute = True
        self.authority = found[2]
        self.fields = without(self.fields, b"proxy-authorization")
        self.target = _origin_form(self.method, found[3])


def _origin_form(method: bytes, rest: bytes) -> bytes:
    if rest.startswith(b"/"):
        return rest
    return b"*" if method == b"OPTIONS" and not rest else b"/" + rest


def _check_codings(codings: list[bytes], minor: int, length: bytes | None) -> None:
    if minor == 0:
        raise BadMessage(BAD_REQUEST, "Transfer-Encoding in HTTP/1.0")
    if length is not None:
        raise BadMessage(BAD_REQUEST, "Content-Length with Transfer-Encoding")
    if b"" in codings or b"chunked" in codings[:-1]:
        raise BadMessage(BAD_REQUEST, "chunked twice or not last")
    if codings != [b"chunked"]:
        raise BadMessage(FAILURES["unknown_coding"], "a transfer coding other than chunked")


def split_authority(authority: bytes) -> tuple[str, int | None]:
    """`Orders:8080` to `("orders", 8080)`, `[::1]` to `("::1", None)`; for a valid authority."""
    host, colon, port = authority.decode("latin-1").lower().rpartition(":")
    if not colon or port.endswith("]"):
        host, port = authority.decode("latin-1").lower(), ""
    return host.strip("[]"), int(port) if port else None


def format_request_id(bits: int) -> bytes:
    """A random UUID (version 4) of 128 random bits, for a request that brought no id."""
    digits = b"%032x" % bits
    return b"%b-%b-4%b-a%b-%b" % (digits[:8], digits[8:12], digits[13:16], digits[17:20], digits[20:])


def read_request(data: bytes, limits: Limits) -> RequestHead | None:
    """The head at the start of `data`; None: not complete yet. Raises BadMessage: answer, then close."""
    found = _HEAD(data)
    if found is None:
        return _read_odd(data, limits)
    method, target, minor, fields = found.groups()
    size = found.end()
    if method not in parser.METHODS:
        raise BadMessage(FAILURES["unknown_method"], "unknown method")
    if size > 4 * limits.max_headers:
        _check_size(data[:size], limits)
    return RequestHead(method, target, 1 if minor == b"1" else 0, fields, size)


def _read_odd(data: bytes, limits: Limits) -> RequestHead | None:
    """What the pattern does not accept: incomplete, malformed, or valid in an unusual spelling."""
    blank = _leading_blank(data)
    end = data.find(b"\r\n\r\n", blank)
    if end < 0:
        _check_size(data[blank:], limits)
        if data.count(b"\n") != data.count(b"\r\n"):
            raise BadMessage(BAD_REQUEST, "a line ends with LF alone")
        return None
    raw = data[blank : end + 4]
    _check_size(raw, limits)
    found = _HEAD(raw) or _HEAD(parser.clean_request(raw))
    if found is None:
        raise BadMessage(BAD_REQUEST, "malformed request head")
    method, target, minor, fields = found.groups()
    if method not in parser.METHODS:
        raise BadMessage(FAILURES["unknown_method"], "unknown method")
    return RequestHead(method, target, int(minor), fields, end + 4)


def _leading_blank(data: bytes) -> int:
    blank = 0
    while data.startswith(b"\r\n", blank):
        blank += 2
    if blank > LEADING_BLANK:
        raise BadMessage(BAD_REQUEST, "too many empty lines before the request")
    return blank


def _check_size(head: bytes, limits: Limits) -> None:
    """Bytes of the head, then number of fields; a request line that is too long alone has a status of its own."""
    if len(head) > limits.max_header_bytes:
        line = head.find(b"\n", 0, limits.max_header_bytes)
        failure = FAILURES["uri_too_long" if line < 0 else "head_too_large"]
        raise BadMessage(failure, f"the head is larger than {limits.max_header_bytes} bytes")
    if head.count(b"\n") - 2 > limits.max_headers:
        raise BadMessage(FAILURES["head_too_large"], f"more than {limits.max_headers} header fields")
