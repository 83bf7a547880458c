"""An instance that counts what it has executed, and misbehaves in one chosen way."""

import asyncio
import re
from collections import Counter
from typing import Self, cast

from tests.support.ports import free_port

_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_ID = re.compile(rb"(?i)\r\nx-call: *(\S+)")

FAREWELL = 0.004
"""Seconds from the decision to close an idle connection until its FIN is with the other side: on the way, or in a
queue of the server. What comes meanwhile is never read."""


class BadInstance:
    """By default it is a good one."""

    def __init__(self, *, status: int = 200, idle: float | None = None) -> None:
        """Answers with `status`; closes a connection that nobody has used for `idle` seconds."""
        self.executed: Counter[str] = Counter()
        """How often it has carried out each call."""
        self.status = status
        self.idle = idle
        self.port = free_port()
        self._server: asyncio.Server | None = None
        self._open: set[_Serving] = set()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Serving(self), "127.0.0.1", self.port, backlog=1024)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.refuse()

    def refuse(self) -> None:
        """Gone: connections end, new ones are refused."""
        if self._server is not None:
            self._server.close()
        for connection in tuple(self._open):
            connection.close()

    def opened(self, connection: "_Serving") -> None:
        self._open.add(connection)

    def lost(self, connection: "_Serving") -> None:
        self._open.discard(connection)


class _Serving(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self, instance: BadInstance) -> None:
        self._instance = instance
        self._transport: asyncio.Transport
        self._head = b""
        self._missing = 0
        """Bytes of the body."""
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._instance.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._instance.lost(self)
        if self._timer is not None:
            self._timer.cancel()

    def close(self) -> None:
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._missing:
            self._missing -= len(data)
        else:
            self._head += data
            head, blank, body = self._head.partition(b"\r\n\r\n")
            if not blank:
                return
            length = _LENGTH.search(head)
            self._missing = (int(length[1]) if length else 0) - len(body)
        if self._missing <= 0:
            self._missing = 0
            self._execute()

    def _execute(self) -> None:
        instance = self._instance
        found = _ID.search(self._head)
        instance.executed[found[1].decode() if found else ""] += 1
        self._head = b""
        self._transport.write(b"HTTP/1.1 %d Said\r\nContent-Length: 2\r\n\r\nok" % instance.status)
        if instance.idle is not None:
            self._timer = asyncio.get_running_loop().call_later(instance.idle, self._decide_to_close)

    def _decide_to_close(self) -> None:
        """Reads no more; with unread bytes the kernel will say RST instead of FIN."""
        self._transport.pause_reading()
        self._timer = asyncio.get_running_loop().call_later(FAREWELL, self._transport.close)
