"""What an operator may do by hand, without HTTP."""

import asyncio
import json
import random
from typing import Any

import pytest

from sidecar.admin import intervention
from sidecar.admin.handling import Answer, Asked, Handler
from sidecar.clock import monotonic
from sidecar.cluster.cluster import Cluster
from sidecar.cluster.endpoint import State
from sidecar.cluster.instance import Instance, Origin, Push
from sidecar.cluster.policy import ServicePolicy
from tests.support.admin_backend import ScriptedBackend

ONE, TWO = "10.0.0.1:80", "10.0.0.2:80"


@pytest.fixture
def orders() -> Cluster:
    cluster = Cluster(ServicePolicy(name="orders"), rng=random.Random(1), now=monotonic())
    return _listed(cluster, 1, 2)


@pytest.fixture
def backend(orders: Cluster) -> ScriptedBackend:
    return ScriptedBackend(orders)


def _listed(cluster: Cluster, *hosts: int) -> Cluster:
    instances = tuple(Instance(f"10.0.0.{host}", 80) for host in hosts)
    cluster.apply(Push("orders", instances, Origin.NACOS, epoch=1), now=monotonic())
    return cluster


def _ask(
    handler: Handler, backend: ScriptedBackend, service: str = "orders", endpoint: str = "", **query: str
) -> Answer:
    async def answer() -> Answer:
        return await handler(backend, Asked("POST", query, parts={"service": service, "endpoint": endpoint}))

    return asyncio.run(answer())


def _text(answer: Answer) -> str:
    return "".join(piece if isinstance(piece, str) else piece.decode() for piece in answer.pieces)


def _json(answer: Answer) -> Any:
    assert (answer.status, answer.content_type) == (200, "application/json")
    return json.loads(_text(answer))


HANDLERS = [intervention.obey, intervention.hold, intervention.eject, intervention.restore]


@pytest.mark.parametrize("handler", HANDLERS)
def test_an_unknown_service_is_404(backend: ScriptedBackend, handler: Handler) -> None:
    """Whatever is asked of it."""
    answer = _ask(handler, backend, "stock", ONE)
    assert (answer.status, _text(answer)) == (404, "no service 'stock'")


@pytest.mark.parametrize("handler", [intervention.eject, intervention.restore])
def test_an_unknown_endpoint_is_404(backend: ScriptedBackend, handler: Handler) -> None:
    """Nothing happens."""
    answer = _ask(handler, backend, endpoint="10.0.0.9:80")
    assert (answer.status, _text(answer)) == (404, "orders has no endpoint '10.0.0.9:80'")
    assert backend.told == []


@pytest.mark.parametrize("ttl", ["", "5", "0s", "-1s", "25h", "24h1s", "for ever"])
@pytest.mark.parametrize("handler", [intervention.hold, intervention.eject])
def test_a_time_that_is_none_or_too_long_is_400(backend: ScriptedBackend, handler: Handler, ttl: str) -> None:
    """The answer says what was expected, and nothing happens."""
    answer = _ask(handler, backend, endpoint=ONE, ttl=ttl)
    assert (answer.status, _text(answer)[:24]) == (400, "ttl: expected a duration")
    assert _text(answer).endswith(f"got {ttl!r}")
    assert backend.told == []


def test_a_whole_day_is_allowed(backend: ScriptedBackend, orders: Cluster) -> None:
    """24h, and no second more."""
    _json(_ask(intervention.eject, backend, endpoint=ONE, ttl="24h"))
    assert orders.shut[ONE] == pytest.approx(monotonic() + 86400, abs=60)


def test_obeying_tells_whom_it_dropped(backend: ScriptedBackend, orders: Cluster) -> None:
    """After a false empty list: both; then there is nothing left to drop, which is 409."""
    _listed(orders)
    assert _json(_ask(intervention.obey, backend)) == {"dropped": [ONE, TWO]}
    assert orders.endpoints == {}
    answer = _ask(intervention.obey, backend)
    assert (answer.status, _text(answer)) == (409, "orders: nothing is held")


def test_holding_tells_what_is_protected_until_when(backend: ScriptedBackend, orders: Cluster) -> None:
    """Ten minutes when nothing is said; the list that shrinks afterwards is held."""
    answer = _json(_ask(intervention.hold, backend))
    assert (answer["active"], answer["held"]) == (False, 0)
    assert answer["until"] is not None
    assert orders.guard.ordered_until == pytest.approx(monotonic() + 600, abs=60)
    _listed(orders, 1)
    assert orders.endpoints[TWO].state is State.HELD


def test_obeying_ends_an_order_to_hold_that_holds_nobody_yet(backend: ScriptedBackend, orders: Cluster) -> None:
    """That is how an operator takes it back."""
    _ask(intervention.hold, backend)
    assert _json(_ask(intervention.obey, backend)) == {"dropped": []}
    assert _ask(intervention.obey, backend).status == 409


def test_ejecting_and_restoring_show_the_endpoint(backend: ScriptedBackend) -> None:
    """As /clusters does: disabled for five minutes, then available."""
    ejected = _json(_ask(intervention.eject, backend, endpoint=ONE))
    assert (ejected["address"], ejected["state"]) == (ONE, "disabled")
    assert ejected["until"] is not None
    restored = _json(_ask(intervention.restore, backend, endpoint=ONE))
    assert (restored["state"], restored["until"]) == ("available", None)
    assert [event.kind for event in backend.told] == ["endpoint_ejected", "endpoint_restored"]


def test_one_that_is_not_listed_any_more_can_be_restored(backend: ScriptedBackend, orders: Cluster) -> None:
    """The order about its address is lifted; there is no endpoint to show."""
    _ask(intervention.eject, backend, endpoint=TWO)
    orders.obey(monotonic())
    _listed(orders, 1)
    assert TWO not in orders.endpoints
    assert _json(_ask(intervention.restore, backend, endpoint=TWO)) == {"address": TWO, "state": None}
    assert _ask(intervention.restore, backend, endpoint=TWO).status == 404
