"""The knobs over HTTP."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from sidecar.embedded.faults import Answer
from sidecar.embedded.in_force import CONDITIONS
from sidecar.embedded.registry import EmbeddedRegistry
from tests.support.until import until
from tests.support.wire_client import WireClient


@pytest.fixture
async def session(registry: EmbeddedRegistry) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(f"http://{registry.address}") as session:
        yield session


async def test_a_condition_is_set_listed_and_lifted(registry: EmbeddedRegistry, session: aiohttp.ClientSession) -> None:
    """POST puts it in force, GET shows it with all fields, DELETE ends it."""
    async with session.post("/faults/answer", json={"request": "ServiceQueryRequest", "error": 503}) as answer:
        assert answer.status == 200
    assert registry.faults.find(Answer, "ServiceQueryRequest") == Answer("ServiceQueryRequest", error=503)
    async with session.get("/faults") as answer:
        listed = await answer.json()
    assert listed["in_force"]["answer"][0]["error"] == 503
    assert listed["known"]["restart"]["kind"] == "action"
    assert listed["known"]["answer"]["help"].startswith("What requests of a type")
    async with session.delete("/faults/answer") as answer:
        assert await answer.json() == {"push_timing": [{"delay_s": 0.0, "second": True, "resend_s": 1.0}]}


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("/faults/anser", "{}", 400, "unknown fault"),
        ("/faults/answer", '{"delay": 1}', 400, "has no field delay"),
        ("/faults/answer", '{"delay_s": "soon"}', 400, "is no float"),
        ("/faults/answer", "[]", 400, "object"),
        ("/faults/answer", "{", 400, "Expecting"),
    ],
)
async def test_a_mistake_is_told(session: aiohttp.ClientSession, path: str, body: str, status: int, words: str) -> None:
    """Unknown names, fields and types are refused with what is wrong."""
    async with session.post(path, data=body) as answer:
        assert (answer.status, words in await answer.text()) == (status, True)


async def test_an_action_cannot_be_lifted(session: aiohttp.ClientSession) -> None:
    """DELETE of what is no condition is 404."""
    async with session.delete("/faults/push_now") as answer:
        assert answer.status == 404


@pytest.mark.parametrize("name", sorted(CONDITIONS))
async def test_lifting_what_is_not_in_force_changes_nothing(
    registry: EmbeddedRegistry, session: aiohttp.ClientSession, name: str
) -> None:
    """Whoever clears up need not know what there is to clear up."""
    async with session.delete(f"/faults/{name}") as answer:
        assert (answer.status, name in await answer.json()) == (200, False)
    async with WireClient(registry.port) as client:
        await client.set_up()


async def test_a_restart_asked_for_over_http_comes_about(
    registry: EmbeddedRegistry, session: aiohttp.ClientSession
) -> None:
    """The answer comes before the ports close; afterwards the registry is up and empty."""
    async with session.post("/faults/restart", json={"return_after_s": None}) as answer:
        assert answer.status == 200
    await until(lambda: _is_up_and_empty(registry))


async def test_who_is_connected_is_shown(registry: EmbeddedRegistry, session: aiohttp.ClientSession) -> None:
    """`/observed` lists connections with versions and subscriptions, and counts requests."""
    async with WireClient(registry.port) as client:
        await client.set_up()
        await client.subscribe("orders")
        async with session.get("/observed") as answer:
            seen = await answer.json()
    assert seen["connections"][0]["subscriptions"] == ["DEFAULT_GROUP@@orders"]
    assert seen["requests"]["SubscribeServiceRequest"] == 1
    assert seen["versions"] == {"Test-Client:v1": 1}


async def _is_up_and_empty(registry: EmbeddedRegistry) -> bool:
    return " up," in repr(registry) and not registry.instances("orders")
