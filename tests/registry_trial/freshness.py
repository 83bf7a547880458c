"""The rows of *Freshness*: how long until the true list is in use again, whatever the registry did.

The true list differs from the one before the fault by an instance that the registry was told of meanwhile; a sidecar
that only went on with what it had would never pass.
"""

from contextlib import AsyncExitStack
from datetime import datetime

from tests.registry_trial.cast import Scene
from tests.registry_trial.registering import enrolled
from tests.registry_trial.relay import relayed
from tests.registry_trial.row import Bar, Ground, Measured, Row, Section
from tests.registry_trial.stage import Stage, staged
from tests.support.providers import providers
from tests.support.until import until

PUSHES = 20
"""So many of them are timed; a server sends one after 0.6 s."""


async def push(scene: Scene) -> Measured:
    """Instances come and go; from the bytes of the push to the event that the list is in force."""
    server = await scene.cast.nacos("3.1.0")
    async with AsyncExitStack() as stack:
        one, other = await stack.enter_async_context(providers(2))
        relay = await stack.enter_async_context(relayed(server.http_port))
        book = await stack.enter_async_context(enrolled(server, scene.service, one.port))
        stage = await stack.enter_async_context(staged(scene, relay.address, first=[one.address]))
        took = []
        for number in range(PUSHES):
            weight = 1.0 + number / 100
            await book.enrol(other.port, weight=weight)
            mark = f'"weight":{weight}'.encode()

            async def passed(mark: bytes = mark) -> bool:
                return relay.push_passed(mark) is not None

            await until(passed, within=10.0)
            took.append(await _applied(stage, relay.push_passed(mark) or 0.0))
        return await stage.measured(took, remark="bytes at the socket to event `snapshot_applied`, every change")


async def _applied(stage: Stage, since: float) -> float:
    """Seconds from a wall time to the first list that took force then; stamps have milliseconds, cut off."""
    found: list[float] = []

    async def there() -> bool:
        told = (datetime.fromisoformat(event["at"]).timestamp() for event in stage.sidecar.events("snapshot_applied"))
        found.extend(at + 0.001 - since for at in told if at + 0.001 > since)
        return bool(found)

    await until(there, within=10.0, pause=0.02)
    return found[0]


ROWS = (
    Row(
        Section.FRESHNESS,
        "push reaches the socket",
        Ground.NACOS_3,
        Bar(0.050),
        push,
    ),
)
