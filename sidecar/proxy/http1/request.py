"""Request heads: read once, then sent to as many instances as it takes.

Two readers stand behind `read_request`. The strict grammar takes nearly everything; what it does not accept is
incomplete, or goes to `parser`, which says what is wrong with it or writes it in plainer form for the strict
grammar to read again.
"""

import re
from typing import Final

from sidecar.cluster.policy import Limits
from sidecar.errors import FAILURES
from sidecar.proxy.http1 import parser
from sidecar.proxy.http1.message import BAD_REQUEST, TOKEN, BadMessage, Framing, first_value, without
from sidecar.proxy.http1.parser import METHODS
from sidecar.proxy.http1.request_fields import RequestFields, request_fields, trace_id, valid_authority

IDEMPOTENT: Final = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"})
"""Methods that may be applied twice (RFC 9110 §9.2.2); registered extensions such as PROPFIND stay outside."""

LEADING_BLANK: Final = 8
"""Bytes of empty lines that may precede a request (RFC 9112 §2.2 asks for one line at least)."""

_SERVED: Final = frozenset(METHODS) - {b"CONNECT"}

VIA: Final = b"Via: 1.1 nacos-sidecar\r\n"

_HOST: Final = b" HTTP/1.1\r\nHost: "
_ID: Final = b"x-request-id: "

_LINE: Final = re.compile(rb"([A-Z\-]++) ([!-\"$-~]++) HTTP/1\.(?:1|(0))(?=\r\n)").match

_END: Final = b"\r\n\r\n"

_BEGINNING: Final = re.compile(TOKEN + rb"*(?: |\r?\Z)").match

_PLAINLY_ABSOLUTE: Final = re.compile(rb"http://([A-Za-z0-9._\-]++(?::[0-9]{1,5}+)?+)(/.*+)", re.DOTALL).fullmatch

_ABSOLUTE: Final = re.compile(rb"([A-Za-z][A-Za-z0-9+\-.]*)://([^/?]*)(.*)", re.DOTALL).fullmatch

_SLASH: Final = ord("/")


class RequestHead:
    """One request as the app meant it. Bytes are kept as they came; nothing here is decoded text."""

    __slots__ = (
        "_came_with",
        "absolute",
        "authority",
        "block",
        "framing",
        "idempotent",
        "keep_alive",
        "length",
        "method",
        "minor",
        "request_id",
        "size",
        "tail",
        "target",
        "te_trailers",
        "upgrade",
    )

    absolute: bool
    """It named the host in its target: the app takes us for a proxy."""
    authority: bytes | None
    """Whom the app calls: the host of an absolute target, else `Host`; None: HTTP/1.0 without one."""
    block: bytes
    """The fields that go on."""
    framing: Framing
    idempotent: bool
    """May be applied twice without harm."""
    keep_alive: bool
    """The app would use its connection again."""
    length: int
    """Body bytes with Framing.LENGTH (then more than none), else 0."""
    method: bytes
    minor: int
    """Of the app's HTTP/1.x."""
    request_id: bytes | None
    """None: the app sent none; set one before `to_instance`."""
    size: int
    """Bytes that the head took of the buffer: the body starts there."""
    tail: bytes
    """Field lines made anew for the next hop."""
    target: bytes
    """Origin-form, or `*`."""
    te_trailers: bool
    upgrade: bytes | None
    """The protocols offered, when the offer is one that is passed on."""

    def __init__(
        self,
        method: bytes,
        target: bytes,
        minor: int,
        understood: tuple[RequestFields, bytes, bytes | None],
        size: int,
    ) -> None:
        fields, self.block, self.request_id = understood
        self.method = method
        self.idempotent = method in IDEMPOTENT
        self.target = target
        self.minor = minor
        self.size = size
        self.authority = fields.authority
        self.framing = fields.framing
        self.keep_alive = fields.keep_alive
        self.length = fields.length
        self.tail = fields.tail
        self.te_trailers = fields.te_trailers
        self.upgrade = None
        self._came_with = self.request_id
        self.absolute = False
        if fields.offers is not None and method == b"GET" and fields.framing is Framing.NONE:
            self._offer(fields.offers)
        if target[0] != _SLASH:
            if (plain := _PLAINLY_ABSOLUTE(target)) is not None:
                self.absolute = True
                self.authority, self.target = plain.groups()
            else:
                self._resolve()
            if fields.credentials_for_proxy and self.absolute:
                self.block = without(self.block, {b"proxy-authorization"})

    def __repr__(self) -> str:
        body = f"{self.length} bytes" if self.length else self.framing.value
        return f"<{self.method.decode()} {self.target.decode()} {body}>"

    @property
    def accepts_json(self) -> bool:
        """A local answer may be JSON."""
        return b"application/json" in (first_value(self.block, b"accept") or b"").lower()

    @property
    def user_agent(self) -> bytes | None:
        return first_value(self.block, b"user-agent")

    @property
    def forwarded_for(self) -> bytes | None:
        return first_value(self.block, b"x-forwarded-for")

    @property
    def trace_id(self) -> bytes | None:
        return trace_id(self.block)

    def to_instance(self, host: bytes | None = None, via: bool = False) -> bytes:  # noqa: FBT001, FBT002 - once a request
        """The head as an instance gets it; `host` replaces the app's own, and must when `authority` is None."""
        if host is None:
            host = self.authority or b""
        tail = self.tail + VIA if via else self.tail
        new_id = self.request_id
        if new_id is None or new_id is self._came_with:
            return b"".join((self.method, b" ", self.target, _HOST, host, self.block, tail, b"\r\n"))
        return b"".join((self.method, b" ", self.target, _HOST, host, self.block, _ID, new_id, b"\r\n", tail, b"\r\n"))

    def _offer(self, offers: bytes) -> None:
        """Pass on an offer to switch protocols; only GET without body makes one (a body would be swallowed)."""
        self.upgrade = offers
        self.tail += b"Connection: upgrade\r\nUpgrade: %b\r\n" % offers

    def _resolve(self) -> None:
        """A target that is no path: `*`, or absolute-form, which names the host (RFC 9112 §3.2.2, §3.2.4)."""
        if self.target == b"*" and self.method == b"OPTIONS":
            return
        found = _ABSOLUTE(self.target)
        if found is None or found[1].lower() != b"http":
            raise BadMessage(BAD_REQUEST, "the request target is neither a path nor an http address")
        authority, rest = found[2], found[3]
        if authority[:1] in {b"", b":"} or not valid_authority(authority):
            raise BadMessage(BAD_REQUEST, "invalid host in the request target")
        self.absolute = True
        self.authority = authority
        if rest[:1] != b"/":
            rest = b"*" if self.method == b"OPTIONS" and not rest else b"/" + rest
        self.target = rest


def format_request_id(bits: int) -> bytes:
    """A random UUID (version 4) of 128 random bits, for a request that came without an id."""
    digits = b"%032x" % bits
    return b"%b-%b-4%b-a%b-%b" % (digits[:8], digits[8:12], digits[13:16], digits[17:20], digits[20:])


def read_request(data: bytes, limits: Limits) -> RequestHead | None:
    """The head at the start of `data`; None: more bytes are needed. Raises BadMessage: answer, then close."""
    return _read_strict(data, limits) or _read_odd(data, limits)


def _read_strict(data: bytes, limits: Limits) -> RequestHead | None:
    """The head if it is complete and spelled by the book."""
    line = _LINE(data)
    if line is None:
        return None
    start = line.end()
    # Mostly a head is all that came. What has a second one behind it breaks the grammar of the block below.
    size = len(data) if data.endswith(_END) else data.find(_END, start) + 4
    if size < 4:
        return None
    method, target, old = line.groups()
    if method not in _SERVED:
        if method == b"CONNECT":
            raise BadMessage(FAILURES["connect_method"], "CONNECT is not served")
        raise BadMessage(FAILURES["unknown_method"], "unknown method")
    block = data[start : size - 2]
    # A line has four bytes or more, so most heads need no count.
    if size > limits.max_header_bytes or (
        size > 4 * limits.max_headers and block.count(b"\n") > limits.max_headers + 1
    ):
        if data.find(_END, start) + 4 < size:
            return None
        raise _over_limits(data[:size], limits)
    minor = 0 if old else 1
    understood = request_fields(block, minor)
    return RequestHead(method, target, minor, understood, size) if understood is not None else None


def _read_odd(data: bytes, limits: Limits) -> RequestHead | None:
    """Any other head: incomplete, preceded by empty lines, oddly spelled, or wrong."""
    blank = _leading_blank(data)
    end = data.find(_END, blank)
    raw = data[blank:] if end < 0 else data[blank : end + 4]
    if len(raw) > limits.max_header_bytes:
        raise _over_limits(raw, limits)
    _check_beginning(raw)
    if end < 0:
        return None
    head = _read_strict(raw, limits) or _read_strict(parser.clean_request(raw), limits)
    if head is None:
        raise BadMessage(BAD_REQUEST, "malformed request head")
    head.size = end + 4
    return head


def _check_beginning(raw: bytes) -> None:
    """Tell what will never become a head, such as a TLS handshake, without waiting for more of it.

    A complete one is asked the same, so that the answer does not depend on how it was cut into packets: httptools
    skips a lone CR or LF before a request.
    """
    if raw.count(b"\n") != raw.count(b"\r\n"):
        raise BadMessage(BAD_REQUEST, "a line that ends with LF alone")
    if not _BEGINNING(raw):
        raise BadMessage(BAD_REQUEST, "this is not HTTP/1")


def _leading_blank(data: bytes) -> int:
    blank = 0
    while data.startswith(b"\r\n", blank):
        blank += 2
    if blank > LEADING_BLANK:
        raise BadMessage(BAD_REQUEST, "too many empty lines before the request")
    return blank


def _over_limits(head: bytes, limits: Limits) -> BadMessage:
    """A request line that is too long by itself has a status of its own (RFC 9112 §3)."""
    if len(head) <= limits.max_header_bytes:
        return BadMessage(FAILURES["head_too_large"], f"more than {limits.max_headers} header fields")
    reason = "head_too_large" if b"\n" in head[: limits.max_header_bytes] else "uri_too_long"
    return BadMessage(FAILURES[reason], f"the head is larger than {limits.max_header_bytes} bytes")
