"""A real nginx as the instance: what it counts is what a server in the field would count.

The sidecar's connections end at a tee. It passes every byte on to nginx and back, and keeps both directions, so that
a difference can be shown. nginx writes a line for each request that it has read to the end or given up, with the id
that the sidecar gave it; h11 reads what the tee has kept.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.differential import essence
from tests.conformance.wire import Wire, cut, wired_to
from tests.peers.nginx import Nginx
from tests.support.ports import free_port
from tests.support.scripted_peer import Talk, connected
from tests.support.strict_instance import Answered, Reading, Seen, StrictInstance, read_all, read_answers
from tests.support.until import settled

_SERVERS = """\
    log_format seen escape=json '{{"id":"$http_x_request_id","request":"$request","status":$status,'
        '"bytes":$request_length,"body":"$request_body"}}';
    client_body_buffer_size 1m;
    large_client_header_buffers 8 64k;
    upstream inner {{ server 127.0.0.1:{inner}; keepalive 4; }}
    server {{
        listen 127.0.0.1:{port};
        access_log {log} seen;
        location / {{ proxy_pass http://inner; proxy_http_version 1.1; proxy_set_header Connection ""; }}
    }}
    server {{
        listen 127.0.0.1:{inner};
        location / {{ return 200 $request_uri; }}
    }}
"""
"""The inner server answers only when the outer one has read the whole body, which is what `$request_body` needs."""


@dataclass(frozen=True)
class Line:
    """A request as nginx tells of it."""

    request_id: bytes
    request: bytes
    status: int
    size: int
    """Bytes of its head and body as they came."""
    body: bytes

    @property
    def whole(self) -> bool:
        """nginx has read it to its end and answered it in earnest."""
        return self.status == 200

    def tells_of(self, seen: Seen) -> bool:
        """A head that nginx refuses it may not have read as far as to the id."""
        if self.whole or self.request_id:
            return self.request_id == _id(seen)
        return self.request == _start(seen)


def _line(text: bytes) -> Line:
    told = json.loads(text.decode("latin-1"))
    request_id, request, body = (told[name].encode("latin-1") for name in ("id", "request", "body"))
    return Line(request_id, request, told["status"], told["bytes"], body)


class NginxBehind(StrictInstance):
    """nginx behind a tee."""

    def __init__(self, port: int, log: Path) -> None:
        super().__init__()
        self._port = port
        self._log = log
        self._read = 0
        self.answered: list[bytes] = []
        """What nginx has sent, by connection."""
        self.lines: list[Line] = []
        """What it has told since `forget`."""
        self.known: set[bytes] = set()
        """Ids of whole requests that have come to it."""
        self.count = 0
        """Requests that it has answered with 200."""

    def forget(self) -> None:
        super().forget()
        self.answered = [b""] * len(self.answered)
        self.lines.clear()

    def hear(self) -> None:
        """Reads what it has told; what it took for a whole request must be one."""
        self.known.update(map(_id, self.seen))
        with self._log.open("rb") as file:
            file.seek(self._read)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in map(_line, whole.splitlines()):
            assert line.request_id in self.known or not line.whole, f"nginx saw a request that nobody sent: {line}"
            self.count += line.whole
            self.lines.append(line)

    async def told(self) -> list[Line]:
        """One line for each whole request, in order."""

        def all_told() -> bool:
            self.hear()
            return all(map(self._line_of, self.seen))

        await settled(all_told)
        return [line for line in map(self._line_of, self.seen) if line is not None]

    def _line_of(self, seen: Seen) -> Line | None:
        return next((line for line in self.lines if line.tells_of(seen)), None)

    async def _serve(self, talk: Talk) -> None:
        number = len(self.readings)
        reading = Reading()
        self.readings.append(reading)
        self.answered.append(b"")
        self.open += 1
        try:
            async with connected(self._port) as nginx:
                back = asyncio.get_running_loop().create_task(self._back(nginx, talk, number))
                with contextlib.suppress(ConnectionError):
                    while data := await talk.reader.read(65536):
                        reading.feed(data)
                        await nginx.send(data)
                    nginx.half_close()
                await back
        finally:
            self.open -= 1

    async def _back(self, nginx: Talk, talk: Talk, number: int) -> None:
        """What nginx says; that it has ended means that it has told of all that came over this connection."""
        with contextlib.suppress(ConnectionError):
            while data := await nginx.reader.read(65536):
                self.answered[number] += data
                await talk.send(data)
        talk.close()


def _id(seen: Seen) -> bytes:
    return dict(seen.headers).get(b"x-request-id", b"")


def _start(seen: Seen) -> bytes:
    return b"%b %b HTTP/%b" % (seen.method, seen.target, seen.version)


@asynccontextmanager
async def nginx_behind(folder: Path) -> AsyncIterator[tuple[Wire, NginxBehind]]:
    """A data path to a tee and nginx; at the end nginx has nothing to add."""
    port, log = free_port(), folder / "seen.log"
    nginx = Nginx(_SERVERS.format(port=port, inner=free_port(), log=log), port, folder / "nginx")
    try:
        await nginx.ready()
        instance = NginxBehind(port, log)
        async with wired_to(instance) as wire:
            yield wire, instance
            await wire.stack.close()
            await settled(lambda: instance.open == 0)
            instance.hear()
    finally:
        await nginx.close()


async def judge(wire: Wire, nginx: NginxBehind, data: bytes, packets: list[bytes]) -> None:
    """Raises AssertionError where nginx and the others count or read differently."""
    got = await wire.cross(data, cut(packets))
    seen = nginx.seen
    said = read_all(data).whole[: len(seen)]
    assert list(map(essence, seen)) == list(map(essence, said)), "another request than the app's"
    assert nginx.errors == [], "nginx got what is not HTTP"
    lines = await nginx.told()
    assert [line.request for line in lines] == list(map(_start, seen)), "another request line"
    assert all(line.body == r.body for line, r in zip(lines, seen, strict=True) if line.whole), "another body"
    if not any(reading.partial for reading in nginx.readings) and all(line.whole for line in lines):
        assert sum(line.size for line in lines) == len(nginx.raw), "nginx took a body for longer, or shorter"
    given = Answered([], [], [], None)
    begun: list[bytes] = []
    for reading, raw in zip(nginx.readings, nginx.answered, strict=True):
        methods = [request.method for request in reading.begun]
        given.add(read_answers(raw, methods))
        begun += methods
    answers = read_answers(got, begun)
    assert answers.error is None, "the app got what is not HTTP"
    passed = len(answers.statuses) - len(answers.local)
    assert len(seen) <= passed, "an answer is missing"
    assert answers.statuses[:passed] == given.statuses[:passed], "answers that nginx did not give"
    assert answers.bodies[:passed] == given.bodies[:passed], "out of order"
    assert len(answers.local) <= 1
