"""One connection to the admin port: requests are answered one after another, in a task that ends with it.

Nothing here may hold up the data path: bodies are put together piece by piece, and compressed so too, with a turn of
the event loop every now and then.
"""

import asyncio
import logging
import re
import zlib
from collections.abc import Awaitable, Callable, Iterable

from sidecar.admin.handling import Answer, text
from sidecar.admin.http1 import MAX_REQUEST, BadRequestError, Request, RequestReader, answer_head
from sidecar.clock import wall
from sidecar.tasks import spawn

_BREATH = 32 * 1024
"""Bytes of a body between two turns of the loop: half a millisecond of compressing."""

_WORTH_COMPRESSING = 1024

_PATIENCE = 75.0
"""Seconds without a word after which a connection ends; scrapers come every half a minute or so."""

_GZIP = re.compile(r"(?:^|,)\s*(?:x-)?gzip\s*(?:;\s*q=(?P<q>[01](?:\.[0-9]*)?)\s*)?(?:,|$)", re.IGNORECASE)

_log = logging.getLogger("sidecar")


class Connection:
    """One connection: requests are answered one after another, in a task that ends with it."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        answer: Callable[[Request, str], Awaitable[Answer]],
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._answer = answer
        self._answering = self._ending = False
        peername = writer.get_extra_info("peername")
        self._peer = str(peername[0]) if peername else ""
        """Its IP address; empty when it has left, which counts as remote."""
        self.task = spawn(self._serve(), name="admin connection")

    @property
    def idle(self) -> bool:
        """It waits for a request, or for the rest of one."""
        return not (self._answering or self._ending)

    def end(self) -> asyncio.Task[None]:
        """After the answer under way, if there is one; returns what ends then."""
        self._ending = True
        if not self._answering:
            self.task.cancel()
        return self.task

    async def _serve(self) -> None:
        try:
            await self._converse(RequestReader())
        except BadRequestError as error:
            await self._send(text("", error.status), [str(error).encode()], None)
        except OSError:
            pass  # the peer has left, or cannot be reached any more, or says nothing
        finally:
            self._writer.close()

    async def _converse(self, requests: RequestReader) -> None:
        keep_alive = True
        while keep_alive:
            async with asyncio.timeout(_PATIENCE):
                data = await self._reader.read(MAX_REQUEST)
            if not data:
                return
            for request in requests.feed(data):
                keep_alive = keep_alive and await self._reply(request)

    async def _reply(self, request: Request) -> bool:
        """Whether another request may follow."""
        self._answering = True
        keep_alive = await self._send(*await self._made(request), request)
        self._answering = False
        return keep_alive

    async def _made(self, request: Request) -> tuple[Answer, list[bytes]]:
        """The answer, and its body in blocks."""
        try:
            answer = await self._answer(request, self._peer)
            return answer, await _gathered(answer.pieces)
        except Exception:  # noqa: BLE001 - told in the log, and by the answer
            _log.exception("admin: %s %s", request.method, request.path)
            return text("", 500), [b"internal error"]

    async def _send(self, answer: Answer, body: list[bytes], request: Request | None) -> bool:
        headers = {"content-type": answer.content_type, "cache-control": "no-store", **answer.headers}
        length = sum(map(len, body))
        if request is not None and length >= _WORTH_COMPRESSING and _takes_gzip(request):
            body = await _compressed(body)
            length = sum(map(len, body))
            headers |= {"content-encoding": "gzip", "vary": "accept-encoding"}
        keep_alive = request is not None and request.keep_alive and not self._ending
        head = answer_head(answer.status, headers, length, to=request, now=wall(), keep_alive=keep_alive)
        only_head = request is not None and request.method == "HEAD"
        await self._write([head] if only_head else [head + b"".join(body[:1]), *body[1:]])
        return keep_alive

    async def _write(self, blocks: Iterable[bytes]) -> None:
        """One a turn of the loop; a peer that takes none of it is let go, and so is what it was to get."""
        try:
            for block in blocks:
                self._writer.write(block)
                await asyncio.sleep(0)
                async with asyncio.timeout(_PATIENCE):
                    await self._writer.drain()
        except TimeoutError:
            self._writer.transport.abort()
            raise


def _takes_gzip(request: Request) -> bool:
    wanted = _GZIP.search(request.headers.get("accept-encoding", ""))
    return wanted is not None and float(wanted["q"] or 1) > 0


async def _gathered(pieces: Iterable[str | bytes]) -> list[bytes]:
    """In blocks: memory for all of it in one piece would be asked for, and given page by page, in one turn."""
    blocks: list[bytes] = []
    parts: list[bytes] = []
    size = 0
    for piece in pieces:
        # Texts of a registry may hold half a character (`\ud800`), which has no UTF-8; in JSON this is how it is written.
        part = piece.encode(errors="backslashreplace") if isinstance(piece, str) else piece
        parts.append(part)
        size += len(part)
        if size >= _BREATH:
            blocks.append(b"".join(parts))
            parts.clear()
            size = 0
            await asyncio.sleep(0)
    return [*blocks, b"".join(parts)] if parts else blocks


async def _compressed(body: Iterable[bytes]) -> list[bytes]:
    packer = zlib.compressobj(level=1, wbits=zlib.MAX_WBITS | 16)
    blocks: list[bytes] = []
    for block in body:
        for start in range(0, len(block), _BREATH):
            blocks.append(packer.compress(block[start : start + _BREATH]))
            await asyncio.sleep(0)
    return [*(block for block in blocks if block), packer.flush()]
