"""The life of one registry session: subscribe to everything, ask in turn, end at the first doubt.

Decides nothing: `planner` says whom to ask when, `judge` says what is trouble; here are the tasks and the clock.
Lists that arrive before every service is subscribed wait until the session is announced.
"""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sidecar.clock import Rng
from sidecar.cluster.instance import Via
from sidecar.cluster.stats import ProcessStats
from sidecar.discovery.judge import GRACE, GRACE_IN_DOUBT, Judge
from sidecar.discovery.options import NacosOptions, Server
from sidecar.discovery.planner import MAX_IN_FLIGHT, SPACING, Planner
from sidecar.discovery.session import (
    ErrorAnswer,
    Listing,
    ServiceKey,
    SessionFactory,
    Trouble,
    Unanswered,
    Unreadable,
)
from sidecar.tasks import spawn


class Sink(Protocol):
    """Who is given what a life learns."""

    def listed(self, epoch: int, key: ServiceKey, listing: Listing, via: Via) -> None:
        """A list to be believed or doubted by the guard."""
        ...

    def malformed(self, epoch: int, key: ServiceKey, error: str) -> None:
        """A list that could not be read."""
        ...

    def refused(self, server: Server, key: ServiceKey, error: str) -> None:
        """An answered error instead of a list, or no answer to a subscription."""
        ...


@dataclass(frozen=True, slots=True)
class _Heard:
    """The last list that came as a push or as the answer to a subscription."""

    listing: Listing
    at: float


class Life:
    """One session, used once: `begin`, `serve`, `end`. Its session tells it what it hears (`Owner`)."""

    def __init__(
        self,
        factory: SessionFactory,
        server: Server,
        options: NacosOptions,
        keys: Sequence[ServiceKey],
        sink: Sink,
        *,
        epoch: int,
        rng: Rng,
        stats: ProcessStats,
    ) -> None:
        self.server = server
        self.epoch = epoch
        self._options = options
        self._keys = keys
        self._sink = sink
        self._stats = stats
        self._loop = asyncio.get_running_loop()
        self._born = self._loop.time()
        self._judge = Judge(rng=rng, now=self._born)
        self._session = factory(server, options, self)
        self._planner = self._plan(rng)
        self._heard: dict[ServiceKey, _Heard] = {}
        self._answered: set[ServiceKey] = set()
        """Whose subscription was answered while opening, be it with an error."""
        self._doubted: frozenset[ServiceKey] = frozenset()
        self._waiting: list[tuple[ServiceKey, Listing | Unreadable]] | None = []
        self._trouble: Trouble | None = None
        self._woken = asyncio.Event()
        self._asking: set[asyncio.Task[Any]] = set()

    @property
    def age(self) -> float:
        """Seconds since it was born."""
        return self._loop.time() - self._born

    async def begin(self) -> None:
        """Opens and subscribes to every service within `open_timeout`; raises RequestError.

        A service that is answered with an error, or not in time while others are, does not fail the rest: it is asked for
        again while serving. A busy server would have to do all of it anew, and no faster.
        """
        try:
            async with asyncio.timeout(self._options.open_timeout):
                await self._session.open()
                await self._subscribe_all()
        except TimeoutError as error:
            if not self._answered:
                raise Unanswered("not open in time", timed_out=True) from error
        if self._trouble is not None:
            raise Unanswered(f"lost while opening: {self._trouble.value}")
        for key in self._keys:
            if key not in self._answered:
                self._sink.refused(self.server, key, "no answer in time")
                self._planner.again(key, self._loop.time())

    def announce(self) -> None:
        """From now on lists go to the sink; those that waited go first."""
        waiting, self._waiting = self._waiting or [], None
        for key, outcome in waiting:
            self._give(key, outcome)

    async def serve(self) -> Trouble:
        """Asks until there is trouble, and returns it."""
        while (trouble := self._trouble or self._judge.expired(self._loop.time())) is None:
            self._woken.clear()
            while (key := self._planner.due(self._loop.time())) is not None:
                self._start_asking(key)
            await self._sleep_until(min(self._planner.wake_at(), self._judge.ends_at))
        return trouble

    async def end(self) -> None:
        """Lets go of everything; never raises."""
        for task in self._asking:
            task.cancel()
        await asyncio.gather(*self._asking, return_exceptions=True)
        self._stats.tasks_cancelled += await self._session.close()

    def doubt(self, keys: Collection[ServiceKey]) -> None:
        """Replaces the set of services that are asked each second."""
        self._doubted = frozenset(keys)
        self._planner.doubt(keys)
        self._woken.set()

    def pushed(self, key: ServiceKey, listing: Listing) -> None:
        """A list came by itself."""
        if key in self._keys:
            self._hear(key, listing)

    def unreadable(self, key: ServiceKey, error: str) -> None:
        """A list came by itself and could not be read: what was known stays, and it is asked for soon."""
        if key in self._keys:
            self._planner.pushed(key, self._loop.time())
            self._woken.set()
            self._deliver(key, Unreadable(error))

    def troubled(self, trouble: Trouble) -> None:
        """The session says that it is over; the first reason counts."""
        self._trouble = self._trouble or trouble
        self._woken.set()

    def _plan(self, rng: Rng) -> Planner:
        options, pace = self._options, SPACING
        liveness, reconcile = options.liveness_interval, options.reconcile_interval
        if self._session.polls:
            reconcile = options.poll_interval
            liveness = max(liveness, reconcile)
            pace = min(pace, reconcile / (2 * len(self._keys)))
        return Planner(self._keys, liveness=liveness, reconcile=reconcile, rng=rng, now=self._born, spacing=pace)

    async def _subscribe_all(self) -> None:
        gate = asyncio.Semaphore(MAX_IN_FLIGHT)
        try:
            async with asyncio.TaskGroup() as group:
                for key in self._keys:
                    group.create_task(self._subscribe(key, gate))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from failures
        if not self._answered:
            raise Unanswered("no subscription was answered in time", timed_out=True)

    async def _subscribe(self, key: ServiceKey, gate: asyncio.Semaphore) -> None:
        async with gate:
            asked_at = self._loop.time()
            try:
                listing = await self._session.subscribe(key)
            except (ErrorAnswer, Unreadable) as failure:
                self._answered.add(key)
                self._stale(key, failure)
                if self._trouble is not None:
                    raise
            except Unanswered as failure:
                if not failure.timed_out or self._judge.unanswered(asked_at=asked_at, now=self._loop.time()):
                    raise
            else:
                self._answered.add(key)
                self._judge.answered()
                self._take(key, listing, asked_at)

    def _hear(self, key: ServiceKey, listing: Listing) -> None:
        now = self._loop.time()
        self._heard[key] = _Heard(listing, now)
        self._judge.agrees(key)
        self._planner.pushed(key, now)
        self._woken.set()
        self._deliver(key, listing)

    def _deliver(self, key: ServiceKey, outcome: Listing | Unreadable) -> None:
        if self._waiting is None:
            self._give(key, outcome)
        else:
            self._waiting.append((key, outcome))

    def _give(self, key: ServiceKey, outcome: Listing | Unreadable) -> None:
        if isinstance(outcome, Listing):
            self._sink.listed(self.epoch, key, outcome, Via.PUSH)
        else:
            self._sink.malformed(self.epoch, key, str(outcome))

    async def _sleep_until(self, at: float) -> None:
        """A timer that wakes costs a third of one that cancels: this happens twice for every query."""
        timer = self._loop.call_at(at, self._woken.set)
        try:
            await self._woken.wait()
        finally:
            timer.cancel()

    def _start_asking(self, key: ServiceKey) -> None:
        self._planner.asked(key, self._loop.time())
        task = spawn(self._ask(key), name=f"registry query {key.name}")
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _ask(self, key: ServiceKey) -> None:
        """A query; or, for a service whose subscription was answered with an error, another try of that."""
        asked_at = self._loop.time()
        request = self._session.query if key in self._heard else self._session.subscribe
        instances = None
        try:
            listing = await request(key)
        except Unanswered as failure:
            self._stats.queries["timeout" if failure.timed_out else "error"] += 1
            self._silent(key, asked_at)
        except (ErrorAnswer, Unreadable) as failure:
            self._stats.queries["error"] += 1
            self._stale(key, failure)
        else:
            self._stats.queries["ok"] += 1
            instances = len(listing.instances)
            self._judge.answered()
            self._take(key, listing, asked_at)
        finally:
            self._planner.done(key, instances)
            self._woken.set()

    def _take(self, key: ServiceKey, listing: Listing, asked_at: float) -> None:
        """An answer that a later push has overtaken says nothing any more."""
        heard = self._heard.get(key)
        if heard is None:
            self._hear(key, listing)
        elif heard.at <= asked_at:
            self._compare(key, listing, heard.listing)

    def _compare(self, key: ServiceKey, listing: Listing, last: Listing) -> None:
        now, grace = self._loop.time(), GRACE_IN_DOUBT if key in self._doubted else GRACE
        if listing.names_the_same(last):
            self._judge.agrees(key)
            self._sink.listed(self.epoch, key, listing, Via.QUERY)
        elif (trouble := self._judge.differs(key, now, grace=grace)) is not None:
            self.troubled(trouble)
        else:
            self._planner.again(key, self._judge.look_again_at(key, now, grace=grace))

    def _silent(self, key: ServiceKey, asked_at: float) -> None:
        now = self._loop.time()
        self._planner.hurry(now)
        if key not in self._heard:
            self._planner.again(key, now + self._options.liveness_interval)
        if (trouble := self._judge.unanswered(asked_at=asked_at, now=now)) is not None:
            self.troubled(trouble)

    def _stale(self, key: ServiceKey, failure: ErrorAnswer | Unreadable) -> None:
        """An answer without a list: it is asked for again, and the connection may be what is wrong."""
        self._judge.answered()
        self._planner.again(key, self._loop.time() + self._options.liveness_interval)
        if isinstance(failure, Unreadable):
            self._deliver(key, failure)
        elif (trouble := self._judge.error(failure.code)) is not None:
            self.troubled(trouble)
        else:
            self._sink.refused(self.server, key, str(failure))
