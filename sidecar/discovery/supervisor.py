"""The registry as a source of lists: opens a session, throws it away on trouble, opens the next.

Why: a client that repairs itself can be wrong in ways that nobody sees; one that is replaced starts from what the
registry says now. `approach` says where and when to try, `ways` over what, `life` runs one session; here they are put in a row.
Beside them `enquirer` asks nodes what a doubted list leaves open.
"""

import asyncio
import functools
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

from sidecar.clock import Rng
from sidecar.cluster.instance import Origin, Push, Silence, Statement, Via, View
from sidecar.cluster.policy import Discovery
from sidecar.cluster.stats import ProcessStats
from sidecar.discovery.access import Access
from sidecar.discovery.approach import Approach, Miss
from sidecar.discovery.enquirer import Enquirer
from sidecar.discovery.life import Life
from sidecar.discovery.nacos import NacosSession
from sidecar.discovery.options import NacosOptions, Server, Transport
from sidecar.discovery.polling import PollingSession
from sidecar.discovery.questions import Enquiry
from sidecar.discovery.session import (
    STARTING,
    ErrorAnswer,
    Listing,
    RequestError,
    ServiceKey,
    SessionFactory,
    Trouble,
)
from sidecar.discovery.source import EPOCHS, SEQUENCES, Connected, Disconnected, Identified, Malformed, Update
from sidecar.discovery.version import Identity, complaint
from sidecar.discovery.ways import Closed, Ways
from sidecar.tasks import spawn

CLOSE_TIMEOUT = 2.0

_log = logging.getLogger("sidecar")


class NacosSource:
    """Lists of all `services` (by their names in the YAML) from one registry; implements `InstanceSource`."""

    def __init__(
        self,
        options: NacosOptions,
        services: Mapping[str, Discovery],
        *,
        rng: Rng,
        stats: ProcessStats,
        session: SessionFactory | None = None,
    ) -> None:
        names: defaultdict[ServiceKey, list[str]] = defaultdict(list)
        for name, discovery in services.items():
            names[ServiceKey(discovery.service or name, discovery.group)].append(name)
        self._names: Mapping[ServiceKey, list[str]] = names
        self._options = options
        self._rng = rng
        self._stats = stats
        self._access = Access(options, rng=rng)
        self._factory = session
        self._ways = Ways(options.servers, options.transport, rng=rng)
        self._approach = Approach(options.servers, backoff=options.reconnect_backoff, rng=rng)
        self._updates: asyncio.Queue[Update | None] = asyncio.Queue()
        self._doubted: frozenset[ServiceKey] = frozenset()
        self._enquiries: Mapping[str, Enquiry] = {}
        self._enquirer = Enquirer(options, self._access, self, rng=rng)
        self._life: Life | None = None
        self._said_lost = False
        self._told: set[str] = set()
        self._refused: dict[ServiceKey, str] = {}
        """Why the registry gives no lists of them."""
        self._warned: set[tuple[str, str]] = set()
        self._ending: set[asyncio.Task[None]] = set()
        self._supervising: asyncio.Task[Any] | None = None

    def __repr__(self) -> str:
        state = f"epoch {self._life.epoch} at {self._life.server}" if self._life else "not connected"
        return f"<NacosSource: {len(self._names)} services, {state}>"

    async def updates(self) -> AsyncIterator[Update]:
        """Begins with the first iteration; ends after `close`."""
        self._supervising = spawn(self._supervise(), name="registry supervisor")
        while (update := await self._updates.get()) is not None:
            yield update

    def doubt(self, services: Collection[str]) -> None:
        """Names of the YAML whose lists are to be asked for each second."""
        self._doubted = frozenset(key for key, names in self._names.items() if not set(names).isdisjoint(services))
        if self._life is not None:
            self._life.doubt(self._doubted)

    def enquire(self, enquiries: Mapping[str, Enquiry]) -> None:
        """What nodes are to be asked over HTTP about services of the YAML."""
        self._enquiries = enquiries
        asked: dict[ServiceKey, Enquiry] = {}
        for key, names in self._names.items():
            for name in enquiries.keys() & names:
                asked[key] = asked.get(key, Enquiry()) | enquiries[name]
        self._enquirer.about(asked)

    async def close(self) -> None:
        """Ends the session and waits until nothing of it is left."""
        if self._supervising is not None:
            self._supervising.cancel()
            await asyncio.gather(self._supervising, return_exceptions=True)
        await self._enquirer.close()
        await asyncio.gather(*self._ending, self._access.close(), return_exceptions=True)
        self._updates.put_nowait(None)

    def listed(self, epoch: int, key: ServiceKey, listing: Listing, via: Via) -> None:
        """A list of the session in charge, for every service of the YAML that reads it."""
        self._refused.pop(key, None)
        for name in self._names[key]:
            self._updates.put_nowait(
                Push(name, listing.instances, Origin.NACOS, epoch, next(SEQUENCES), via, listing.protect)
            )

    def malformed(self, epoch: int, key: ServiceKey, error: str) -> None:
        """A list that could not be read."""
        for name in self._names[key]:
            self._updates.put_nowait(Malformed(name, epoch, error))

    def refused(self, server: Server, key: ServiceKey, error: str) -> None:
        """No list of this service: aloud, unless others are refused for that very reason, as all are by a wrong secret."""
        level = logging.DEBUG if error in self._refused.values() else logging.WARNING
        self._refused[key] = error
        _log.log(level, "registry %s gives no list of %s in group %s: %s", server, key.name, key.group, error)

    def stated(self, key: ServiceKey, view: View, server: Server, listing: Listing, asked_at: float) -> None:
        """What a node was asked for, for every service of the YAML about which it was."""
        for name in self._names[key]:
            enquiry = self._enquiries.get(name)
            if enquiry is not None and (view is View.EVERYTHING or enquiry.elsewhere):
                self._updates.put_nowait(
                    Statement(name, view, str(server), listing.instances, asked_at, listing.protect)
                )

    def unanswered(self, key: ServiceKey, servers: Sequence[Server], asked_at: float) -> None:
        """Nobody who was asked for a list answered, for every service of the YAML about which it was."""
        for name in self._names[key]:
            enquiry = self._enquiries.get(name)
            if enquiry is not None and enquiry.elsewhere:
                self._updates.put_nowait(Silence(name, tuple(map(str, servers)), asked_at))

    async def _supervise(self) -> None:
        while True:
            server, pause = self._approach.next()
            await asyncio.sleep(pause)
            way = await self._ways.to(server)
            if isinstance(way, Closed):
                self._tell_once(server, way.why)
                miss: Miss | None = way.miss
            else:
                miss = await self._live(way.server, way.transport)
            if miss is not None:
                self._approach.missed(miss)
                self._say_lost(0, server, Trouble.OPEN_FAILED)

    def _session_over(self, way: Transport) -> SessionFactory:
        kind = PollingSession if way is Transport.HTTP else NacosSession
        return self._factory or (lambda server, options, owner: kind(server, options, owner, self._access))

    async def _live(self, server: Server, way: Transport) -> Miss | None:
        """One session from first to last; a Miss when it could not be opened."""
        life = Life(
            self._session_over(way),
            server,
            self._options,
            tuple(self._names),
            self,
            epoch=next(EPOCHS),
            rng=self._rng,
            stats=self._stats,
        )
        identity = Identity(server, self._options, self._access, functools.partial(self._identified, life))
        try:
            await life.begin()
            await self._serve(life, identity)
        except RequestError as failure:
            self._tell_once(server, str(failure))
            self._stats.reconnects[Trouble.OPEN_FAILED.value] += 1
            return Miss.STARTING if isinstance(failure, ErrorAnswer) and failure.code == STARTING else Miss.FAILED
        except Exception:  # noqa: BLE001 - whatever the client library did to itself: the next session is a new one
            _log.exception("crash", extra={"detail": {"task": f"registry session {life.epoch}"}})
            self._stats.reconnects[Trouble.OPEN_FAILED.value] += 1
            return Miss.FAILED
        finally:
            identity.close()
            self._life = None
            self._enquirer.session_at(None)
            self._ways.left(server)
            self._discard(life)
        return None

    async def _serve(self, life: Life, identity: Identity) -> None:
        self._life = life
        self._said_lost = False
        self._told.clear()
        others = len(self._options.servers) - 1
        self._updates.put_nowait(Connected(life.epoch, str(life.server), identity.version, others))
        self._enquirer.session_at(life.server)
        life.announce()
        life.doubt(self._doubted)
        trouble = await life.serve()
        self._approach.ended(life.age)
        self._stats.reconnects[trouble.value] += 1
        self._say_lost(life.epoch, life.server, trouble)

    def _tell_once(self, server: Server, why: str) -> None:
        """Why a session could not be opened: aloud the first time in an outage that it is this."""
        told = f"registry {server}: {why}"
        _log.log(logging.DEBUG if told in self._told else logging.WARNING, "%s", told)
        self._told.add(told)

    def _identified(self, life: Life, version: str) -> None:
        if self._life is life:
            self._updates.put_nowait(Identified(life.epoch, version))
        why = complaint(version)
        if why is not None and (str(life.server), version) not in self._warned:
            self._warned.add((str(life.server), version))
            _log.warning("registry %s runs Nacos %s: %s", life.server, version, why)

    def _say_lost(self, epoch: int, server: Server, trouble: Trouble) -> None:
        """Once an outage: the tries that follow are counted, not told."""
        if not self._said_lost:
            self._said_lost = True
            self._updates.put_nowait(Disconnected(epoch, str(server), trouble.value))

    def _discard(self, life: Life) -> None:
        """Closes it aside: the next session does not wait for the end of this one."""
        task = spawn(self._end(life), name=f"registry session {life.epoch} ends")
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    @staticmethod
    async def _end(life: Life) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await life.end()
