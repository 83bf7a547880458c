"""Asks registry nodes over HTTP what a doubted list leaves open; `questions` says what and when.

What a node gives its clients is asked of another one than the session's: of the one that answered last, and when that
does not answer, of the next. What it shows administrators is asked of the session's own node first; who may not read it
there (401, 403) or finds no such path asks that node no more for a while. Nothing is concluded from an error or what
cannot be read; that nobody says anything at all is told. While there is no session nothing is asked, for answers would
count for nothing.
"""

import asyncio
import logging
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

from sidecar.clock import Rng
from sidecar.cluster.instance import View
from sidecar.discovery.access import DENIED, Access
from sidecar.discovery.http import ABSENT, Http
from sidecar.discovery.http_lists import EVERYTHING, OFFERED, HttpLists
from sidecar.discovery.options import NacosOptions, Server
from sidecar.discovery.questions import Enquiry, Question, Questions
from sidecar.discovery.session import ErrorAnswer, Listing, RequestError, ServiceKey, Unanswered
from sidecar.tasks import spawn

CLOSED_FOR = 60.0
"""Seconds for which a node is not asked again for what it shows administrators."""

_log = logging.getLogger("sidecar")


class Sink(Protocol):
    """Who is given what nodes answer."""

    def stated(self, key: ServiceKey, view: View, server: Server, listing: Listing, asked_at: float) -> None:
        """A node that was asked at `asked_at` (loop time) has this list."""
        ...

    def unanswered(self, key: ServiceKey, servers: Sequence[Server], asked_at: float) -> None:
        """All of these were asked, the first at `asked_at`, for what they give their clients; none said anything."""
        ...


class Node:
    """One node's lists; opens itself when the first is read."""

    def __init__(self, server: Server, options: NacosOptions, access: Access) -> None:
        self._server = server
        self._access = access
        self._http = Http(server, options)
        self._opening = asyncio.Lock()
        self._open = False
        self._offered = HttpLists(self._http, options.namespace, OFFERED)
        self._everything = HttpLists(self._http, options.namespace, EVERYTHING)

    async def close(self) -> None:
        """Lets go of its connections."""
        await self._http.close()

    async def read(self, question: Question) -> Listing:
        """Raises RequestError."""
        async with self._opening:
            if not self._open:
                await self._http.__aenter__()
                self._open = True
        if question.view is View.OFFERED:
            return await self._access.granted(
                self._server,
                question.key,
                lambda shown: self._offered.read(question.key, shown, clusters=question.enquiry.clusters),
            )
        # Refused because of what we may do, not of what we show: a new login would change nothing.
        shown = await self._access.shown(self._server, question.key)
        return await self._everything.read(question.key, shown, clusters=question.enquiry.clusters)


class Enquirer:
    """Asks on behalf of one source, over all its sessions."""

    def __init__(self, options: NacosOptions, access: Access, sink: Sink, *, rng: Rng) -> None:
        self._options = options
        self._access = access
        self._sink = sink
        self._questions = Questions(rng=rng)
        self._servers = sorted(options.servers, key=lambda _: rng.random())
        """In the order in which they are tried: who does not answer goes to the end."""
        self._home: Server | None = None
        self._closed_until: dict[Server, float] = {}
        self._silent: set[Server] = set()
        self._nodes: dict[Server, Node] = {}
        self._woken = asyncio.Event()
        self._asking: set[asyncio.Task[Any]] = set()
        self._running: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Enquirer: {self._questions!r}, at home {self._home or 'nowhere'}>"

    def session_at(self, server: Server | None) -> None:
        """Where the session in charge is; None: there is none."""
        self._home = server
        self._woken.set()

    def about(self, enquiries: Mapping[ServiceKey, Enquiry]) -> None:
        """Replaces what is to be found out."""
        self._questions.about(enquiries, asyncio.get_running_loop().time())
        self._woken.set()
        if self._running is None and self._questions:
            self._running = spawn(self._run(), name="registry enquiries")

    async def close(self) -> None:
        """Asks no more, and lets go of every connection."""
        tasks = [*self._asking, *([self._running] if self._running is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._leave_nodes()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._woken.clear()
            while self._home is not None and (question := self._questions.due(loop.time())) is not None:
                self._start(question, loop.time())
            if not self._questions and not self._asking:
                await self._leave_nodes()
            await self._sleep_until(self._questions.wake_at() if self._home is not None else math.inf)

    async def _sleep_until(self, at: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout_at(at if at < math.inf else None):
                await self._woken.wait()

    def _start(self, question: Question, now: float) -> None:
        servers = self._whom(question, now)
        if not servers:
            self._questions.passed(question, now)
            return
        self._questions.asked(question, now)
        task = spawn(self._ask(question, servers), name=f"registry enquiry {question.key.name}")
        self._asking.add(task)
        task.add_done_callback(self._has_asked)

    def _has_asked(self, task: asyncio.Task[None]) -> None:
        self._asking.discard(task)
        self._woken.set()

    def _whom(self, question: Question, now: float) -> list[Server]:
        others = [server for server in self._servers if self._home is None or server != self._home.at(None)]
        if question.view is View.OFFERED:
            return others
        asked = [*([self._home] if self._home else []), *(others if question.enquiry.elsewhere else [])]
        return [server for server in asked if now >= self._closed_until.get(server, now)]

    async def _ask(self, question: Question, servers: Sequence[Server]) -> None:
        """The first of them that answers is heard."""
        loop = asyncio.get_running_loop()
        began, mute = loop.time(), 0
        instances = 0
        try:
            for server in servers:
                asked_at = loop.time()
                try:
                    listing = await self._node(server).read(question)
                except RequestError as failure:
                    mute += isinstance(failure, Unanswered)
                    self._failed(question, server, failure, loop.time())
                    continue
                if question.view is View.OFFERED:
                    self._silent.discard(server)
                instances = len(listing.instances)
                self._sink.stated(question.key, question.view, server, listing, asked_at)
                return
            if question.view is View.OFFERED and mute == len(servers):
                self._sink.unanswered(question.key, servers, began)
        finally:
            self._questions.answered(question, instances, loop.time())

    def _failed(self, question: Question, server: Server, failure: RequestError, now: float) -> None:
        if question.view is View.EVERYTHING:
            if isinstance(failure, ErrorAnswer) and failure.code in DENIED | ABSENT:
                self._closed_until[server] = now + CLOSED_FOR
            return
        self._servers.remove(server)
        self._servers.append(server)
        if server not in self._silent:
            self._silent.add(server)
            _log.warning("registry %s gives no second opinion on %s: %s", server, question.key.name, failure)

    def _node(self, server: Server) -> Node:
        node = self._nodes.get(server)
        if node is None:
            node = self._nodes[server] = Node(server, self._options, self._access)
        return node

    async def _leave_nodes(self) -> None:
        nodes, self._nodes = list(self._nodes.values()), {}
        for node in nodes:
            await node.close()
