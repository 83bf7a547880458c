"""What the field lines of a request tell a proxy, and which of them go on. Rules: RFC 9110 §7, RFC 9112 §6."""

import functools
import re
from collections.abc import Callable, Mapping
from typing import Final

from sidecar.errors import FAILURES
from sidecar.proxy.http1.message import (
    BAD_REQUEST,
    REMEMBERED,
    REMEMBERED_BYTES,
    BadMessage,
    Framing,
    first_value,
    is_length,
    members,
    noting,
    parted,
    removable,
    strict_block,
    without,
    worth_remembering,
)

_TRACE_ID: Final = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-").match

_AUTHORITY: Final = re.compile(rb"(?:[A-Za-z0-9\-._~!$&'()*+,;=%]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?").fullmatch


class RequestFields:
    """What the noted lines of one request say; shared by all requests with the same lines, so never changed."""

    __slots__ = (
        "authority",
        "codings",
        "connection",
        "credentials_for_proxy",
        "cut",
        "framing",
        "keep_alive",
        "length",
        "minor",
        "named",
        "offers",
        "tail",
        "te_trailers",
    )

    authority: bytes | None
    """`Host`; None: HTTP/1.0 without one."""
    credentials_for_proxy: bool
    """`Proxy-Authorization` is among the fields: it ends here when the app takes us for a proxy."""
    cut: list[bytes]
    """The lines that end here."""
    framing: Framing
    keep_alive: bool
    length: int
    named: set[bytes]
    """Further fields that end here, for `Connection` names them."""
    offers: bytes | None
    """Protocols offered by `Upgrade`, h2c left out: it would make the peer speak what we do not."""
    tail: bytes
    """Field lines that we make anew for the next hop: framing and TE."""
    te_trailers: bool

    def __init__(self, lines: tuple[bytes, ...], minor: int) -> None:
        self.minor = minor
        self.authority = None
        self.codings: list[bytes] = []
        self.connection: list[bytes] = []
        self.credentials_for_proxy = False
        self.cut = []
        self.framing = Framing.NONE
        self.length = -1
        self.offers = None
        self.te_trailers = False
        for line in lines:
            name, value = parted(line)
            if _RULES[name](self, value):
                self.cut.append(line)
        self._check_host()
        self._frame()
        self.keep_alive = b"close" not in self.connection and (minor == 1 or b"keep-alive" in self.connection)
        if minor == 0 or b"upgrade" not in self.connection:
            self.offers = None
        self.named = removable(self.connection)
        self.tail = self._tail()

    def _check_host(self) -> None:
        if self.authority is None:
            if self.minor == 1:
                raise BadMessage(BAD_REQUEST, "no Host")
        elif _AUTHORITY(self.authority) is None:
            raise BadMessage(BAD_REQUEST, "invalid Host")

    def _frame(self) -> None:
        """RFC 9112 §6.3; whatever two readers might understand differently is refused."""
        codings, length = self.codings, self.length
        self.length = max(length, 0)
        if not codings:
            self.framing = Framing.LENGTH if length > 0 else Framing.NONE
            return
        if self.minor == 0:
            raise BadMessage(BAD_REQUEST, "Transfer-Encoding in HTTP/1.0")
        if length >= 0:
            raise BadMessage(BAD_REQUEST, "Content-Length with Transfer-Encoding")
        if b"" in codings or b"chunked" in codings[:-1]:
            raise BadMessage(BAD_REQUEST, "chunked twice or not last")
        if codings != [b"chunked"]:
            raise BadMessage(FAILURES["unknown_coding"], "a transfer coding other than chunked")
        self.framing = Framing.CHUNKED

    def _tail(self) -> bytes:
        chunked = b"Transfer-Encoding: chunked\r\n" if self.framing is Framing.CHUNKED else b""
        return chunked + b"Connection: TE\r\nTE: trailers\r\n" if self.te_trailers else chunked


def _host(seen: RequestFields, value: bytes) -> bool:
    if seen.authority is not None:
        raise BadMessage(BAD_REQUEST, "more than one Host")
    seen.authority = value
    return True


def _content_length(seen: RequestFields, value: bytes) -> bool:
    if seen.length >= 0 or not is_length(value):
        raise BadMessage(BAD_REQUEST, "invalid or repeated Content-Length")
    seen.length = int(value)
    return False


def _transfer_encoding(seen: RequestFields, value: bytes) -> bool:
    seen.codings += [part.strip(b" \t") for part in value.lower().split(b",")]
    return True


def _connection(seen: RequestFields, value: bytes) -> bool:
    seen.connection += members(value)
    return True


def _te(seen: RequestFields, value: bytes) -> bool:
    seen.te_trailers = seen.te_trailers or b"trailers" in members(value)
    return True


def _upgrade(seen: RequestFields, value: bytes) -> bool:
    offers = [offer for part in value.split(b",") if (offer := part.strip(b" \t")) and offer.lower() != b"h2c"]
    if offers:
        seen.offers = b", ".join([seen.offers, *offers] if seen.offers else offers)
    return True


def _proxy_authorization(seen: RequestFields, _value: bytes) -> bool:
    seen.credentials_for_proxy = True
    return False


def _expect(seen: RequestFields, _value: bytes) -> bool:
    return seen.minor == 0


def _cut(_seen: RequestFields, _value: bytes) -> bool:
    return True


_RULES: Final[Mapping[bytes, Callable[[RequestFields, bytes], bool]]] = {
    b"host": _host,
    b"connection": _connection,
    b"content-length": _content_length,
    b"transfer-encoding": _transfer_encoding,
    b"expect": _expect,
    b"te": _te,
    b"upgrade": _upgrade,
    b"keep-alive": _cut,
    b"proxy-authorization": _proxy_authorization,
    b"proxy-connection": _cut,
    b"http2-settings": _cut,
}
"""Field → what it means; the rule returns whether the line ends here."""

_noted: Final = noting(_RULES).findall

_meaning: Final = functools.lru_cache(REMEMBERED)(RequestFields)


def _understand(block: bytes, minor: int) -> tuple[RequestFields, bytes, bytes | None] | None:
    if not strict_block(block):
        return None
    lines = tuple(_noted(block))
    fields = (_meaning if worth_remembering(block, lines) else RequestFields)(lines, minor)
    for line in fields.cut:
        block = block.replace(line, b"", 1)
    if fields.named:
        block = without(block, fields.named)
    request_id = first_value(block, b"x-request-id")
    if request_id == b"":
        return fields, without(block, {b"x-request-id"}), None
    return fields, block, request_id


_remembered: Final = functools.lru_cache(REMEMBERED)(_understand)


def request_fields(block: bytes, minor: int) -> tuple[RequestFields, bytes, bytes | None] | None:
    """What `block` says in a request of HTTP/1.`minor`, the block of fields that go on, and the request's id.

    None: the block breaks the grammar. Raises BadMessage.
    """
    return (_remembered if len(block) <= REMEMBERED_BYTES else _understand)(block, minor)


def valid_authority(authority: bytes) -> bool:
    """Whether this may stand in `Host`, or as the host part of an absolute-form target."""
    return _AUTHORITY(authority) is not None


def trace_id(block: bytes) -> bytes | None:
    """The 32 hex digits of `traceparent` (W3C Trace Context §3.2)."""
    found = _TRACE_ID(first_value(block, b"traceparent") or b"")
    return found[1] if found else None
