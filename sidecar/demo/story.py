"""The order of events: registry, three providers, the sidecar, a load; then restarts and a lie of the registry."""

import asyncio
import json
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from sidecar.clock import monotonic
from sidecar.demo.callers import CachedList, Caller, Fixed, client_session
from sidecar.demo.processes import Stage, StageError, free_ports
from sidecar.demo.verdict import RESCUES, Tally, Verdict, repeated

_SERVICE = "order-service"
_PROVIDERS = 3
_GRPC_OFFSET = 1000
_START_LIMIT = 20.0
"""Seconds that one process may take to be usable on a busy machine."""

_CONFIG = """\
version: 1
listen: null
nacos: {{server_addresses: "127.0.0.1:{registry}"}}
admin: {{listen: "127.0.0.1:{admin}"}}
services:
  - name: {service}
    listen: 127.0.0.1:{listen}
"""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line said: seconds, calls a second of each caller."""

    duration: float
    rate: int
    keep: bool
    as_json: bool


@dataclass(frozen=True, slots=True)
class Ports:
    """Where everything of the stage listens, on 127.0.0.1."""

    registry: int
    listen: int
    admin: int
    providers: tuple[int, ...]

    @classmethod
    def choose(cls) -> "Ports":
        """Ports that are free just now."""
        registry = free_ports(1, pair_offset=_GRPC_OFFSET)[0]
        listen, admin, *providers = free_ports(2 + _PROVIDERS)
        return cls(registry, listen, admin, tuple(providers))


def tell(options: Options) -> bool:
    """Plays the whole story; True when the sidecar's side is clean and the comparison means something."""
    try:
        verdict = asyncio.run(_Story(options, Ports.choose()).play())
    except StageError as error:
        _say(f"the demo could not be staged: {error}")
        return False
    except KeyboardInterrupt:
        _say("interrupted; everything that was started is ended")
        return False
    sys.stdout.write(json.dumps(verdict.as_json()) + "\n" if options.as_json else _closing(verdict))
    return not verdict.objections


def _closing(verdict: Verdict) -> str:
    objections = "".join(f"not proven: {text}\n" for text in verdict.objections)
    return f"\n{verdict.table()}{objections}{verdict.summary}\n"


class _Story:
    """One run on one stage."""

    def __init__(self, options: Options, ports: Ports) -> None:
        self._options = options
        self._ports = ports
        self._direct = Tally("direct, list cached 30 s")
        self._through = Tally("through the sidecar")
        self._live = _LiveLine(self._direct, self._through)

    async def play(self) -> Verdict:
        with tempfile.TemporaryDirectory(prefix="nacos-sidecar-demo-") as folder:
            async with Stage(Path(folder)) as stage, client_session() as session:
                await self._set_up(stage, session)
                await self._load(stage, session)
                verdict = await self._judge(Path(folder), session)
                if self._options.keep:
                    await self._keep(stage)
                return verdict

    async def _set_up(self, stage: Stage, session: aiohttp.ClientSession) -> None:
        ports = self._ports
        registry = f"http://127.0.0.1:{ports.registry}"
        _say(f"starting an embedded Nacos on 127.0.0.1:{ports.registry}")
        await stage.start("registry", "sidecar", "registry", "--listen", f"127.0.0.1:{ports.registry}")
        await _until_ok(stage, session, f"{registry}/faults")
        _say(f"starting {_PROVIDERS} providers of {_SERVICE}, registered by nacos-sdk-python")
        for number in range(_PROVIDERS):
            await self._start_provider(stage, number)
        await self._until_listed(stage, session, _PROVIDERS)
        _say(f"starting the sidecar on 127.0.0.1:{ports.listen}, admin on 127.0.0.1:{ports.admin}")
        config = stage.folder / "sidecar.yaml"
        config.write_text(
            _CONFIG.format(listen=ports.listen, registry=ports.registry, admin=ports.admin, service=_SERVICE)
        )
        await stage.start("sidecar", "sidecar", "run", "-c", str(config))
        await _until_ok(stage, session, f"http://127.0.0.1:{ports.admin}/readyz")

    async def _start_provider(self, stage: Stage, number: int) -> None:
        await stage.start(
            f"provider-{number + 1}", "sidecar.demo.provider",
            "--port", str(self._ports.providers[number]),
            "--registry", f"127.0.0.1:{self._ports.registry}",
            "--port-offset", str(_GRPC_OFFSET),
            "--service", _SERVICE,
            "--ids", str(stage.folder / f"provider-{number + 1}.ids"),
        )  # fmt: skip

    async def _load(self, stage: Stage, session: aiohttp.ClientSession) -> None:
        options = self._options
        _say(f"{options.rate} calls/s a caller for {options.duration:.0f} s, half GET, half POST\n")
        direct_route = CachedList(session, f"127.0.0.1:{self._ports.registry}", _SERVICE)
        async with client_session() as app, asyncio.TaskGroup() as group:
            through = Caller(self._through, app, Fixed(f"http://127.0.0.1:{self._ports.listen}"), prefix="s-")
            direct = Caller(self._direct, session, direct_route, prefix="d-")
            for caller in (direct, through):
                group.create_task(caller.offer(rate=options.rate, seconds=options.duration, on_tick=self._live.refresh))
            group.create_task(self._trouble(stage, session))
        self._live.end()

    async def _trouble(self, stage: Stage, session: aiohttp.ClientSession) -> None:
        """The rolling restart, then one false empty push; each step as soon as the one before has settled."""
        ends_at = monotonic() + self._options.duration
        await asyncio.sleep(self._options.duration * 0.06)
        for number in range(_PROVIDERS):
            self._live.note(f"provider {number + 1} of {_PROVIDERS} restarts")
            await stage.end(f"provider-{number + 1}")
            await self._start_provider(stage, number)
            await self._until_listed(stage, session, _PROVIDERS)
            await asyncio.sleep(1.0)
        if monotonic() < ends_at - 2.0:
            self._live.note("the registry claims that nobody is left (false)")
            await self._lie(session, min(3.0, ends_at - monotonic() - 1.0))
            self._live.note("the registry tells the truth again")

    async def _lie(self, session: aiohttp.ClientSession, seconds: float) -> None:
        await self._fault(session, "POST", "forced_list", {"service": _SERVICE, "shape": "empty"})
        await self._fault(session, "POST", "push_now", {"service": _SERVICE})
        await asyncio.sleep(seconds)
        await self._fault(session, "DELETE", "forced_list", {})
        await self._fault(session, "POST", "push_now", {"service": _SERVICE})

    async def _fault(self, session: aiohttp.ClientSession, method: str, name: str, body: Mapping[str, str]) -> None:
        url = f"http://127.0.0.1:{self._ports.registry}/faults/{name}"
        async with session.request(method, url, json=body) as answer:
            if answer.status >= 400:
                raise StageError(f"{method} {url} was refused: {await answer.text()}")

    async def _until_listed(self, stage: Stage, session: aiohttp.ClientSession, count: int) -> None:
        url = f"http://127.0.0.1:{self._ports.registry}/nacos/v1/ns/instance/list"
        deadline = monotonic() + _START_LIMIT
        while monotonic() < deadline:
            stage.check()
            async with session.get(url, params={"serviceName": _SERVICE}) as answer:
                if len((await answer.json())["hosts"]) == count:
                    return
            await asyncio.sleep(0.1)
        raise StageError(f"{_SERVICE} has not {count} instances after {_START_LIMIT:.0f} s")

    async def _judge(self, folder: Path, session: aiohttp.ClientSession) -> Verdict:
        executed = _executed(folder)
        self._through.duplicated = repeated(executed, "s-")
        self._direct.duplicated = repeated(executed, "d-")
        return Verdict(
            direct=self._direct,
            sidecar=self._through,
            rescued=await self._rescued(session),
            offered=round(self._options.rate * self._options.duration),
        )

    async def _rescued(self, session: aiohttp.ClientSession) -> Mapping[str, int]:
        async with session.get(f"http://127.0.0.1:{self._ports.admin}/metrics") as answer:
            lines = (await answer.text()).splitlines()
        wanted = {f'sidecar_rescued_requests_total{{service="{_SERVICE}",by="{by}"}}': by for by in RESCUES}
        return {
            wanted[series]: round(float(value))
            for series, _, value in (line.rpartition(" ") for line in lines)
            if series in wanted
        }

    async def _keep(self, stage: Stage) -> None:
        _say(
            f"everything keeps running until Ctrl-C:\n"
            f"  curl http://127.0.0.1:{self._ports.listen}/echo/1\n"
            f"  curl http://127.0.0.1:{self._ports.admin}/clusters\n"
            f"  logs: {stage.folder}"
        )
        while True:
            stage.check()
            await asyncio.sleep(1.0)


class _LiveLine:
    """One line that is rewritten on a terminal, and printed every five seconds elsewhere."""

    _PERIOD_TERMINAL, _PERIOD_PIPE = 0.2, 5.0

    def __init__(self, direct: Tally, through: Tally) -> None:
        self._tallies = (direct, through)
        self._terminal = sys.stderr.isatty()
        self._started = monotonic()
        self._next = 0.0

    def refresh(self) -> None:
        """Shows the counts when it is time to."""
        now = monotonic()
        if now >= self._next:
            self._next = now + (self._PERIOD_TERMINAL if self._terminal else self._PERIOD_PIPE)
            self._write("\r" if self._terminal else "", "" if self._terminal else "\n")

    def note(self, text: str) -> None:
        """Tells one step of the story on a line of its own."""
        sys.stderr.write(f"{self._erase()}{monotonic() - self._started:5.1f} s  {text}\n")

    def end(self) -> None:
        """Shows the final counts."""
        self._write("\r" if self._terminal else "", "\n")

    def _write(self, before: str, after: str) -> None:
        counts = "   ".join(f"{one.name}: {one.calls} calls, {one.failed} failed" for one in self._tallies)
        sys.stderr.write(f"{before}{monotonic() - self._started:5.1f} s  {counts}{after}")
        sys.stderr.flush()

    def _erase(self) -> str:
        return "\r\033[K" if self._terminal else ""


def _executed(folder: Path) -> list[str]:
    """The ids that the providers wrote down."""
    return [line.split(" ", 1)[1] for path in folder.glob("*.ids") for line in path.read_text().splitlines()]


async def _until_ok(stage: Stage, session: aiohttp.ClientSession, url: str) -> None:
    deadline = monotonic() + _START_LIMIT
    while monotonic() < deadline:
        stage.check()
        try:
            async with session.get(url) as answer:
                if answer.status == 200:
                    return
        except aiohttp.ClientError:
            pass
        await asyncio.sleep(0.1)
    raise StageError(f"{url} does not answer 200 after {_START_LIMIT:.0f} s")


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
