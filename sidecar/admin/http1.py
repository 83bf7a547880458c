"""HTTP/1.1 as the admin port speaks it: bytes become requests, answers become bytes. Pure.

Why not a web framework: it would stay in every pod's memory for a scrape and two probes now and then
(docs/operating/weight.md). The data path's own reader knows what a proxy has to pass on; here nothing is passed on.
Bodies of requests mean nothing to any route, so they are read and forgotten.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from urllib.parse import parse_qsl, unquote, urlsplit

import httptools

MAX_REQUEST = 64 * 1024
"""Bytes of one request, body included: there is nothing to send here."""

_PHRASES = {
    200: "OK", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 409: "Conflict",
    413: "Content Too Large", 500: "Internal Server Error", 503: "Service Unavailable",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Request:
    """One request: `path` decoded, the first of several values in `query`, names of `headers` in lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    minor: int
    """Of its HTTP/1.x."""
    keep_alive: bool
    """Another one may follow on the connection."""


class BadRequestError(Exception):
    """What came cannot be read; `status` is the answer, after which the connection ends."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class RequestReader:
    """Takes the bytes of one connection apart."""

    def __init__(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._found: list[Request] = []
        self._unfinished = 0
        self._target = b""
        self._headers: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"<RequestReader {self._unfinished} bytes unfinished>"

    def feed(self, data: bytes) -> list[Request]:
        """The requests that these bytes complete, several where the peer did not wait; raises BadRequestError."""
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self._found:
                raise BadRequestError(400, str(error)) from error
            self._found[-1] = replace(self._found[-1], keep_alive=False)  # what follows it cannot be read
        found, self._found = self._found, []
        self._unfinished = 0 if found else self._unfinished + len(data)
        if self._unfinished > MAX_REQUEST:
            raise BadRequestError(413, f"a request of more than {MAX_REQUEST} bytes")
        return found

    # what httptools calls out

    def on_message_begin(self) -> None:
        self._target = b""
        self._headers = {}

    def on_url(self, piece: bytes) -> None:
        self._target += piece

    def on_header(self, name: bytes, value: bytes) -> None:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        self._headers[key] = f"{self._headers[key]}, {text}" if key in self._headers else text

    def on_message_complete(self) -> None:
        version = self._parser.get_http_version()
        if version not in {"1.0", "1.1"}:
            raise ValueError(f"HTTP/{version}")
        path, query = _parted(self._target.decode("latin-1"))
        self._found.append(
            Request(
                method=self._parser.get_method().decode(),
                path=unquote(path),
                query=dict(reversed(parse_qsl(query, keep_blank_values=True))),
                headers=self._headers,
                minor=int(version[-1]),
                keep_alive=self._parser.should_keep_alive(),
            )
        )


def answer_head(
    status: int, headers: Mapping[str, str], size: int, *, to: Request | None, now: float, keep_alive: bool
) -> bytes:
    """The head of an answer whose body has `size` bytes; `to` is None where the request could not be read."""
    fields = {
        "date": datetime.fromtimestamp(now, UTC).strftime("%a, %d %b %Y %H:%M:%S GMT"),
        **headers,
        "content-length": str(size),
    }
    if not keep_alive:
        fields["connection"] = "close"
    elif to is not None and to.minor == 0:
        fields["connection"] = "keep-alive"
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status} {_PHRASES.get(status, '')}\r\n{lines}\r\n".encode("latin-1")


def _parted(target: str) -> tuple[str, str]:
    """Path and query of a request's target, which a client of proxies writes with scheme and host."""
    if target.startswith("/"):
        path, _, query = target.partition("?")
        return path, query
    parts = urlsplit(target)
    return parts.path or "/", parts.query
