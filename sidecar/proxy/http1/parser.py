"""The second reader of requests: httptools, for heads that the strict grammar does not accept.

It says what is wrong with them, or reads a spelling that is odd but harmless. It only tokenizes. What it accepts is
written out again as a clean head, and that must pass the strict pattern and all of its checks like any other: so there
is one grammar to trust, and the gaps of the library (no limits, no Host rules, HTTP/2.0, Transfer-Encoding in 1.0,
swallowed bodies after Upgrade) cannot be reached.
"""

import re
from typing import Final

import httptools

from sidecar.errors import FAILURES
from sidecar.proxy.http1.message import BAD_REQUEST, TOKEN, BadMessage

METHODS: Final = frozenset(
    b"DELETE GET HEAD POST PUT CONNECT OPTIONS TRACE COPY LOCK MKCOL MOVE PROPFIND PROPPATCH SEARCH UNLOCK BIND "
    b"REBIND UNBIND ACL REPORT MKACTIVITY CHECKOUT MERGE M-SEARCH NOTIFY SUBSCRIBE UNSUBSCRIBE PATCH PURGE "
    b"MKCALENDAR LINK UNLINK SOURCE QUERY".split()
)
"""What llhttp 9 lists; any other method is answered with 501."""

_REQUEST_LINE: Final = re.compile(rb"(" + TOKEN + rb"+) +[^ ]+ +HTTP/([0-9])\.([0-9])\r\n").match


class _Head:
    """Gathers what httptools calls out."""

    def __init__(self) -> None:
        self.complete = False
        self.target = b""
        self.fields: list[bytes] = []

    def on_url(self, piece: bytes) -> None:
        self.target += piece

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append(b"%b: %b\r\n" % (name, value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        self.complete = True


def clean_request(raw: bytes) -> bytes:
    """`raw` is one complete head with its empty line; the same head in its plainest spelling, or BadMessage."""
    line = _REQUEST_LINE(raw)
    if line is not None:
        if line[2] != b"1" or line[3] not in {b"0", b"1"}:
            raise BadMessage(FAILURES["unsupported_version"], "neither HTTP/1.0 nor HTTP/1.1")
        if line[1] not in METHODS:
            raise BadMessage(FAILURES["unknown_method"], "unknown method")
    head = _Head()
    parser = httptools.HttpRequestParser(head)
    try:
        parser.feed_data(raw)
    except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
        if not head.complete:  # what it raises later is about what would follow: a body, an upgrade
            raise BadMessage(BAD_REQUEST, str(error)) from error
    if not head.complete:
        raise BadMessage(BAD_REQUEST, "malformed request head")
    version = parser.get_http_version().encode()
    start = b"%b %b HTTP/%b\r\n" % (parser.get_method(), head.target, version)
    return start + b"".join(head.fields) + b"\r\n"
