"""Moody instances, and an app that asks them anything: whatever they do, what the app gets is whole, and its own."""

import asyncio
from collections import Counter
from random import Random

from sidecar.errors import FAILURES
from sidecar.proxy.http1.body import ChunkedBody
from tests.support.bad_instances import UNAVAILABLE
from tests.support.scripted_peer import Talk, connected
from tests.support.stack import Answer, ask


class Chaos:
    """Instances that misbehave by the throw of a die, and remember every path they executed, and which of them were POSTs."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.executed: Counter[bytes] = Counter()
        self.posts: set[bytes] = set()

    async def __call__(self, talk: Talk) -> None:
        while True:
            dice = self.random.random()
            if dice < 0.03:
                return
            head = await talk.head()
            if dice < 0.06 or not head:
                talk.reset()
                return
            body = await talk.body(head)
            method, path, _ = head.split(b" ", 2)
            self.executed[path] += 1
            if method == b"POST":
                self.posts.add(path)
            if dice < 0.09:
                talk.reset()
                return
            if dice < 0.12:
                await talk.send(UNAVAILABLE)
                continue
            await self._answer(talk, body, dice)
            if dice < 0.2:
                return

    async def _answer(self, talk: Talk, body: bytes, dice: float) -> None:
        """The body comes back, whole or dripped, counted, chunked or until the end."""
        if dice < 0.2:
            await talk.send(b"HTTP/1.1 200 OK\r\n\r\n", body)
        elif dice < 0.5 and body:
            await talk.send(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % len(body), body, b"\r\n0\r\n\r\n"
            )
        elif dice < 0.6:
            await talk.send(b"HTTP/1.1 200 OK\r\nContent-Le")
            await asyncio.sleep(0)
            await talk.send(b"ngth: %d\r\n\r\n" % len(body), body[:10], body[10:])
        else:
            await talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


async def ask_anything(port: int, random: Random, name: str, calls: int) -> Counter[int]:
    """One app: calls in a row, over a connection for as long as it lasts; each is answered, or its connection ends."""
    seen: Counter[int] = Counter()
    left = calls
    while left:
        async with connected(port) as app:
            while left:
                left -= 1
                method = random.choice([b"GET", b"POST", b"PUT"])
                body = random.randbytes(random.choice([0, 1, 100, 70_000])) if method != b"GET" else b""
                head = b"%b /%b-%d HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (
                    method,
                    name.encode(),
                    left,
                    len(body),
                )
                try:
                    answer = await ask(app, head + body)
                except (ConnectionError, asyncio.IncompleteReadError):
                    seen[-1] += 1
                    break
                seen[answer.status] += 1
                if answer.status == 200:
                    assert _unchunked(answer) == body
                if b"\r\nconnection: close\r\n" in answer.head.lower() or not answer.status:
                    break
    return seen


def _unchunked(answer: Answer) -> bytes:
    if b"\r\nTransfer-Encoding: chunked\r\n" not in answer.head:
        return answer.body
    return ChunkedBody(FAILURES["protocol"], padded=False, chunks=False).feed(answer.body)
