"""One registry node by its HTTP interface: requests go out, whatever comes back is a reply. Nothing is judged here.

Real servers answer oddly (a wrong password gets status 500, or a status line that is not HTTP), so an answer that
cannot be read is a reply of status 0 with the raw text.
"""

import asyncio
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

from sidecar.discovery.gradual import decoded
from sidecar.discovery.http1 import AnswerReader, NotHttpError, request_bytes
from sidecar.discovery.options import NacosOptions, Server
from sidecar.discovery.session import Unanswered
from sidecar.discovery.tls import context

ABSENT = frozenset({404, 405, 410, 501})
"""A path that this version of the server does not have, or has no more."""

NOT_HTTP = 0

PLAIN = "the HTTP port speaks no TLS: where that is meant to be so, set nacos.tls.http to false"

_SAID_PLAINLY = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"})
"""What OpenSSL makes of an answer that is not TLS; the second from 3.2 on."""

_PIECE = 64 * 1024
"""Bytes of one read."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A status and a text."""

    status: int
    text: str

    def __str__(self) -> str:
        words = " ".join(self.text.split())[:200]
        return f"HTTP {self.status}: {words}" if self.status else f"not HTTP: {words}"

    def body(self) -> Any:
        """Whatever JSON it is; None where it is none."""
        with suppress(ValueError):
            return decoded(self.text)
        return None

    def json(self) -> dict[str, Any]:
        """The object that it holds; later servers wrap one in `data`. Empty where it holds none."""
        body = self.body()
        if not isinstance(body, dict):
            return {}
        return body["data"] if isinstance(body.get("data"), dict) else body


class Http:
    """Requests to one node, each within `request_timeout`; to be entered before the first.

    Connections are kept for the next request. One that the node has closed meanwhile costs another try on a new one:
    whatever we ask may be asked twice.
    """

    def __init__(self, server: Server, options: NacosOptions) -> None:
        self._server = server
        self._base = base_path(options.context_path)
        self._tls = options.tls if options.tls is not None and options.tls.http else None
        self._timeout = options.request_timeout
        self._context: ssl.SSLContext | None = None
        self._idle: list[_Connection] = []
        self._open: set[_Connection] = set()
        self._closed = False

    def __repr__(self) -> str:
        return f"<Http {self._server}: {len(self._open)} connections>"

    async def __aenter__(self) -> Self:
        """Raises Unanswered where TLS is configured with files that will not do."""
        if self._tls is not None:
            self._context = await asyncio.to_thread(context, self._tls)
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Lets go of every connection; a request under way is not answered any more."""
        self._closed = True
        self._idle.clear()
        while self._open:
            self._open.pop().abort()

    async def get(self, path: str, params: Mapping[str, str] = {}, headers: Mapping[str, str] = {}) -> Reply:
        """Raises Unanswered."""
        query = f"?{urlencode(params)}" if params else ""
        return await self._request("GET", path + query, headers=headers)

    async def post(self, path: str, form: Mapping[str, str]) -> Reply:
        """With a form as the body: what stands there stays out of everybody's access logs. Raises Unanswered."""
        return await self._request("POST", path, headers={}, form=form)

    async def _request(
        self, method: str, path: str, *, headers: Mapping[str, str], form: Mapping[str, str] | None = None
    ) -> Reply:
        try:
            request = request_bytes(method, str(self._server), self._base + path, headers=headers, form=form)
            async with asyncio.timeout(self._timeout):
                return await self._answered(request)
        except NotHttpError as error:
            return Reply(NOT_HTTP, str(error))
        except TimeoutError as error:
            raise Unanswered(f"no answer in {self._timeout:g} s", timed_out=True) from error
        except ssl.SSLError as error:
            hint = PLAIN if error.reason in _SAID_PLAINLY else str(error)
            raise Unanswered(hint) from error
        except (OSError, ValueError) as error:
            raise Unanswered(str(error) or type(error).__name__) from error

    async def _answered(self, request: bytes) -> Reply:
        while self._idle:
            with suppress(ConnectionError):
                return await self._ask(self._idle.pop(), request)
        if self._closed:
            raise ConnectionAbortedError("given up")
        name = (self._tls and self._tls.server_name) or self._server.host
        connection = _Connection(
            *await asyncio.open_connection(
                self._server.dialled,
                self._server.port,
                ssl=self._context,
                server_hostname=name if self._context else None,
            )
        )
        self._open.add(connection)
        return await self._ask(connection, request)

    async def _ask(self, connection: "_Connection", request: bytes) -> Reply:
        reusable = False
        try:
            answer = await connection.ask(request)
            reusable = answer.reusable and not self._closed
        finally:
            if reusable:
                self._idle.append(connection)
            else:
                self._open.discard(connection)
                connection.abort()
        return Reply(answer.status, answer.body.decode(errors="replace"))


class _Connection:
    """One request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def ask(self, request: bytes) -> AnswerReader:
        """The whole answer; raises NotHttpError, and ConnectionError where it ends before that."""
        answer = AnswerReader()
        self._writer.write(request)
        while not answer.complete:
            if data := await self._reader.read(_PIECE):
                answer.feed(data)
            else:
                answer.end()
        return answer

    def abort(self) -> None:
        """Closes at once, with TLS as well: nothing is owed to the node."""
        self._writer.transport.abort()


def base_path(context_path: str) -> str:
    """What all paths begin with; a slash alone, or nothing, means nothing."""
    inner = context_path.strip("/")
    return f"/{inner}" if inner else ""
