"""What the ring of events keeps."""

from collections.abc import Iterable

import pytest

from sidecar.cluster.events import (
    EndpointAdded,
    EndpointQuarantined,
    EndpointRecovered,
    EndpointRemoved,
    Event,
    HoldEnded,
    Probed,
    PushRefused,
    Rescue,
)
from sidecar.telemetry.worth import IN_A_WINDOW, PROBE_AGAIN, RESCUE_AGAIN, WINDOW, Worth, window_of

A, B = "10.0.0.1:80", "10.0.0.2:80"


def probed(result: str, endpoint: str = A) -> Event:
    return Probed(service="orders", endpoint=endpoint, result=result)


def kept(worth: Worth, events: Iterable[Event], now: float = 100.0) -> list[Event]:
    return list(worth.keeping(list(events), now))


def test_a_probe_that_repeats_the_last_is_kept_once_in_a_while() -> None:
    """A held endpoint is probed each second: of all that succeed within that while the ring keeps the first."""
    worth = Worth()
    told = [kept(worth, [probed("ok")], 100.0 + second) for second in range(int(PROBE_AGAIN) + 1)]
    assert [len(one) for one in told] == [1, *[0] * (int(PROBE_AGAIN) - 1), 1]


def test_every_change_of_a_result_is_kept() -> None:
    """ok, refused, ok, refused within a second are four facts."""
    worth = Worth()
    results = ["ok", "refused", "refused", "ok", "refused"]
    told = [kept(worth, [probed(result)]) for result in results]
    assert [len(one) for one in told] == [1, 1, 0, 1, 1]


def test_each_endpoint_is_on_its_own() -> None:
    """What one answered says nothing of another."""
    worth = Worth()
    assert len(kept(worth, [probed("ok", A), probed("ok", B), probed("ok", A)])) == 2


@pytest.mark.parametrize(
    "between",
    [
        EndpointQuarantined(service="orders", endpoint=A, reason="refused", next_probe_s=0.1),
        EndpointRecovered(service="orders", endpoint=A, after_s=1.0),
        EndpointRemoved(service="orders", endpoint=A, in_flight=0),
        HoldEnded(service="orders", endpoint=A, by="gone", left=0),
    ],
)
def test_after_what_a_call_met_the_next_probe_is_news(between: Event) -> None:
    """Answering, then refusing to a call, then answering again: the last one counts though the last probe said the same."""
    worth = Worth()
    assert len(kept(worth, [probed("ok"), between, probed("ok")])) == 3


def test_rescues_are_kept_once_in_a_while_for_each_cause() -> None:
    """By what a call was rescued is what explains it; how many there were is a counter's matter."""
    worth = Worth()
    events = [Rescue(service="orders", endpoint=A, by=by, attempts=1) for by in ("guard", "guard", "retry", "guard")]
    assert len(kept(worth, events)) == 2
    assert len(kept(worth, events, 100.0 + RESCUE_AGAIN)) == 2


def added(count: int, service: str = "orders") -> list[Event]:
    return [EndpointAdded(service=service, endpoint=f"10.0.{n // 250}.{n % 250}:80", weight=1.0) for n in range(count)]


def test_a_list_of_thousands_does_not_take_the_whole_ring() -> None:
    """In a minute so many are kept of a kind and service, in however many steps the list came; of others all."""
    worth, thousands = Worth(), added(5000)
    slices = [kept(worth, thousands[start : start + 64], 100.0 + start / 10_000) for start in range(0, 5000, 64)]
    assert [event for one in slices for event in one] == thousands[:IN_A_WINDOW]
    others = [*added(1, "users"), Probed(service="orders", endpoint=A, result="ok")]
    assert kept(worth, others, 101.0) == others


def test_what_concerns_a_whole_service_is_always_kept() -> None:
    """Lists and doubts come few enough, and nothing else explains what happened."""
    worth = Worth()
    events: list[Event] = [PushRefused(service="orders", why="empty", kept=1, offered=0)] * (2 * IN_A_WINDOW)
    assert len(kept(worth, events)) == 2 * IN_A_WINDOW


def test_the_next_minute_counts_anew() -> None:
    """Minutes are those of the clock, so that a reader of the timeline can tell which of them were full."""
    worth, at = Worth(), 100.0
    assert len(kept(worth, added(300), at)) == IN_A_WINDOW
    following = (window_of(at) + 1) * WINDOW
    assert len(kept(worth, added(300), following - 0.001)) == 0
    assert len(kept(worth, added(300), following)) == IN_A_WINDOW


def test_its_memory_is_bounded() -> None:
    """Addresses without end: it forgets, and at worst keeps an event too many."""
    worth = Worth()
    for n in range(40_000):
        kept(worth, [probed("ok", f"10.{n // 65536}.{n // 256 % 256}.{n % 256}:80")])
    assert len(worth._kept) <= 16384
