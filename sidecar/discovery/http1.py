"""HTTP/1.1 as a registry node is asked in it: a request as bytes, and the bytes that come back as an answer. Pure.

Why not the client of a web framework: for a few short questions it would stay in every pod's memory, a seventh of the
whole process (docs/operating/weight.md). The data path's own reader knows what a proxy has to pass on; here nothing is
passed on, and httptools alone tells what came.
"""

import re
from collections.abc import Mapping
from urllib.parse import urlencode

import httptools

MAX_ANSWER = 32 << 20
"""Bytes of one answer, head and body: as much as over gRPC, some hundred thousand instances."""

_FORM = {"Content-Type": "application/x-www-form-urlencoded"}

_FRAMED = frozenset({b"content-length", b"transfer-encoding"})

_SAFE = re.compile(r"[\x20-\x7e]*").fullmatch


class NotHttpError(Exception):
    """What came is no answer; the text says why."""


def request_bytes(
    method: str, host: str, path: str, *, headers: Mapping[str, str], form: Mapping[str, str] | None = None
) -> bytes:
    """A whole request. Raises ValueError for a field value that would be more than that."""
    body = b"" if form is None else urlencode(form).encode()
    length = {} if form is None else {**_FORM, "Content-Length": str(len(body))}
    fields = {"Host": host, "User-Agent": "nacos-sidecar", "Accept": "*/*", **headers, **length}
    if not all(map(_SAFE, fields.values())):
        raise ValueError("a field value with control characters")
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + body


class AnswerReader:
    """Reads one answer. Feed it bytes until it is `complete`; then the rest tells what came."""

    def __init__(self) -> None:
        self.complete = False
        self.status = 0
        self.reusable = False
        """The connection may carry another request."""
        self.body = b""
        self._parser = httptools.HttpResponseParser(self)
        self._pieces: list[bytes] = []
        self._size = 0
        self._headed = self._framed = False

    def __repr__(self) -> str:
        return f"<AnswerReader {self.status if self.complete else 'incomplete'}>"

    def feed(self, data: bytes) -> None:
        """Raises NotHttpError; a second answer behind the first spoils the connection, not the answer."""
        self._size += len(data)
        if self._size > MAX_ANSWER:
            raise NotHttpError(f"more than {MAX_ANSWER} bytes")
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self.reusable = False
            if not self.complete:
                raise NotHttpError(str(error)) from error

    def end(self) -> None:
        """The connection has ended: so does a body of no stated length; all else was cut, a ConnectionError."""
        if not self._headed or self._framed:
            raise ConnectionResetError("cut in the middle of an answer" if self._size else "cut before an answer")
        self._finish()

    # what httptools calls out

    def on_message_begin(self) -> None:
        if self.complete:
            self.reusable = False

    def on_header(self, name: bytes, _value: bytes) -> None:
        self._framed = self._framed or name.lower() in _FRAMED

    def on_headers_complete(self) -> None:
        self._headed = self._parser.get_status_code() >= 200

    def on_body(self, piece: bytes) -> None:
        if not self.complete:
            self._pieces.append(piece)

    def on_message_complete(self) -> None:
        if self._headed and not self.complete:  # an interim answer is followed by the one that counts
            self._finish()
            self.reusable = self._parser.should_keep_alive()

    def _finish(self) -> None:
        self.complete = True
        self.status = self._parser.get_status_code()
        self.body = b"".join(self._pieces)
