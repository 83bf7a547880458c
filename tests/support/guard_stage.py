"""A stage for what the guard does: one service behind a sidecar process, and an app that never stops to call it.

What happens is up to the test; here is what can be seen of it, at the places where an operator looks: `/clusters`,
`/events`, `/metrics`, and the app's own calls.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

from tests.support.http_client import Answer
from tests.support.sidecar_process import SidecarProcess, running
from tests.support.until import until
from tests.trial.load import Call, Load, loaded

SERVICE = "orders"
RATE = 100.0
"""Calls a second; half of them POSTs."""

LIMIT = 60.0
"""Seconds to whatever is to come to pass, on a machine whose cores are busy."""

_CONFIG = """\
version: 1
listen: null
nacos: {{server_addresses: "{registry}"{nacos}}}
admin: {{listen: "127.0.0.1:0"}}
access_log: {{path: none}}
drain: {{timeout: 1s, quiet: 10ms}}
services:
  - name: {service}
    listen: 127.0.0.1:0
    protection: {{probe_interval: 100ms{protection}}}
    wait_for_instance: {{timeout: 300ms}}
    outlier_detection: {{leaving_signals: {leaving_signals}}}
{others}"""


class Addressed(Protocol):
    """A provider of whatever kind."""

    @property
    def address(self) -> str:
        """`ip:port`."""
        ...


class GuardStage:
    """One service of a running sidecar, and the load on it."""

    def __init__(self, sidecar: SidecarProcess, load: Load, service: str) -> None:
        self.sidecar = sidecar
        self.load = load
        self.service = service

    # The app's side

    @property
    def failed(self) -> list[Call]:
        """Calls that were not answered 200, in the order of their ends."""
        return [call for call in self.load.calls if not call.answered]

    async def calls(self, count: int = 20) -> list[Call]:
        """So many more calls, sent from now on; returns when they have ended."""
        now = asyncio.get_running_loop().time()

        def sent_since() -> list[Call]:
            return [call for call in self.load.calls if call.started >= now]

        async def enough() -> bool:
            return len(sent_since()) >= count

        await until(enough, within=LIMIT)
        return sent_since()[:count]

    async def answered_by(self, count: int = 20) -> Counter[str]:
        """Who answered so many more calls, by address; `503` and the like for those that failed."""
        return Counter(_answerer(call) for call in await self.calls(count))

    async def all_serve(self, providers: Collection[Addressed]) -> None:
        """Returns when each of these has answered a call sent from now on; fails when anybody else has.

        It may take five seconds: for so long a refusal counts as load.
        """
        addresses, seen = {provider.address for provider in providers}, set[str]()

        async def all_seen() -> bool:
            seen.update(await self.answered_by(len(addresses)))
            return seen >= addresses

        await self.holds(all_seen)
        assert seen == addresses

    # The operator's side

    async def cluster(self) -> dict[str, Any]:
        """Its part of `/clusters?format=json`."""
        return next(one for one in await self.sidecar.clusters() if one["name"] == self.service)

    async def endpoints(self) -> dict[str, dict[str, Any]]:
        """Its endpoints there, by address."""
        return {endpoint["address"]: endpoint for endpoint in (await self.cluster())["endpoints"]}

    async def states(self) -> dict[str, str]:
        """Their states, by address."""
        return {address: endpoint["state"] for address, endpoint in (await self.endpoints()).items()}

    async def becomes(self, states: Mapping[str, str]) -> None:
        """Returns when exactly these endpoints are in these states; fails with those that there are."""
        seen: dict[str, str] = {}

        async def so() -> bool:
            seen.clear()
            seen.update(await self.states())
            return seen == states

        try:
            await until(so, within=LIMIT)
        except TimeoutError:
            raise AssertionError(f"{seen} never became {states}\n{self.sidecar.child.tail()}") from None

    async def all_become(self, state: str, providers: Iterable[Addressed]) -> None:
        """Returns when these are all the endpoints there are, each in this state."""
        await self.becomes({provider.address: state for provider in providers})

    async def metric(self, name: str, **labels: str) -> float:
        """One series of this service; 0 when it is not there."""
        shown = ",".join(f'{key}="{value}"' for key, value in {"service": self.service, **labels}.items())
        return await self.sidecar.metric(f"sidecar_{name}{{{shown}}}")

    async def holds(self, claim: Callable[[], Awaitable[bool]]) -> None:
        """Returns when the claim is true."""
        await until(claim, within=LIMIT)

    async def reaches(self, least: float, name: str, **labels: str) -> None:
        """Returns when a series has at least this value."""

        async def so() -> bool:
            return await self.metric(name, **labels) >= least

        await until(so, within=LIMIT)

    async def told(self, kind: str) -> list[dict[str, Any]]:
        """The events of one kind in the timeline."""
        found = await self.sidecar.admin(f"/events?n=4096&kind={kind}&service={self.service}")
        events: list[dict[str, Any]] = json.loads(found.body)["events"]
        return events

    async def ended_by(self) -> Counter[str]:
        """How holds ended so far, as the metric has it and, at the same time, the timeline."""
        ways = ("restored", "gone", "confirmed", "expired", "obeyed")
        counted = Counter({by: int(await self.metric("registry_holds_ended_total", by=by)) for by in ways})
        told = Counter(event["detail"]["by"] for event in await self.told("hold_ended"))
        assert +counted == told, (counted, told)
        return told

    async def order(self, path: str) -> Answer:
        """An operator's POST to `/services/NAME/…`."""
        return await self.sidecar.admin(f"/services/{self.service}/{path}", method="POST")

    async def shows_hold(self, why: str, held: Iterable[Addressed]) -> None:
        """Fails unless a hold of exactly these stands everywhere: `/clusters`, metrics, timeline, status page."""
        addresses = {provider.address for provider in held}
        await self.reaches(len(addresses), "registry_ghosts")
        cluster = await self.cluster()
        protection = cluster["protection"]
        assert (protection["active"], protection["why"], protection["held"]) == (True, why, len(addresses))
        unlisted = {one["address"]: one["verdict"] for one in cluster["endpoints"] if not one["listed"]}
        assert unlisted == dict.fromkeys(addresses, "ghost")
        assert await self.metric("registry_protection_active") == 1
        assert {event["endpoint"] for event in await self.told("ghost")} >= addresses
        assert why in {event["detail"]["why"] for event in await self.told("push_refused")}
        page = (await self.sidecar.admin("/")).body.decode()
        assert all(address in page for address in addresses)
        assert "not listed, answers" in page

    async def shows_no_hold(self) -> None:
        """Returns when nothing is held any more, and everything says so."""

        async def over() -> bool:
            return not (await self.cluster())["protection"]["active"]

        await until(over, within=LIMIT)
        assert await self.metric("registry_protection_active") == 0
        assert await self.metric("registry_ghosts") == 0


@asynccontextmanager
async def guard_stage(
    folder: Path,
    registry: str,
    *,
    protection: str = "",
    nacos: str = "",
    service: str = SERVICE,
    leaving_signals: bool = True,
    others: Iterable[str] = (),
    rate: float = RATE,
) -> AsyncIterator[GuardStage]:
    """A ready sidecar under load; `protection` and `nacos` are more keys of these sections, as `, confirm: 1s`.

    Without `leaving_signals` one that stops is out by its first refusal, not for the ten seconds of a farewell.
    """
    text = _CONFIG.format(
        registry=registry,
        protection=protection,
        nacos=nacos,
        service=service,
        leaving_signals=str(leaving_signals).lower(),
        others="".join(f"  - {{name: {other}, listen: 127.0.0.1:0}}\n" for other in others),
    )
    async with running(folder, text) as sidecar:
        await sidecar.ready()
        async with loaded(await sidecar.bound(service), rate=rate) as load:
            yield GuardStage(sidecar, load, service)


def _answerer(call: Call) -> str:
    return f"127.0.0.1:{json.loads(call.body)['port']}" if call.answered else str(call.status)
