"""What the registry trial measures, what it calls a miss, and what it tells."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from sidecar import clock
from tests.registry_trial import freshness, pushes, sessions
from tests.registry_trial.cast import Cast, Scene
from tests.registry_trial.conduct import Conductor
from tests.registry_trial.report import report
from tests.registry_trial.row import Bar, Ground, Measured, Result, Row, Section
from tests.support.relay import relayed
from tests.support.until import PATIENCE
from tests.trial.load import Call

ANSWERED = Call("GET", "c0", 0.0, 0.0, 0.1, 200)
REFUSED = Call("POST", "c1", 0.0, 0.0, 0.1, 503, "UH no_instance attempts=0")


async def nothing(scene: Scene) -> Measured:
    return Measured([0.25], [ANSWERED])


async def broken(scene: Scene) -> Measured:
    raise RuntimeError("no such thing\nand more of it")


ROW = Row(Section.FRESHNESS, "an event", Ground.EMBEDDED, Bar(1.0), nothing)


def result(*seconds: float, calls: Sequence[Call] = (ANSWERED,), wrong: Sequence[str] = ()) -> Result:
    return Result(ROW, Measured(seconds, calls, wrong))


@pytest.mark.own_process
async def test_rows_on_the_embedded_registry_are_measured(tmp_path: Path) -> None:
    """Real processes, two kinds of faults side by side: each repetition has its time, and calls went on meanwhile."""
    tracks = [
        [replace(ROW, event="stream", bar=Bar(PATIENCE), play=sessions.stream_ended)],
        [replace(ROW, event="clock", bar=Bar(PATIENCE), play=pushes.clock_jumps_back)],
    ]
    told: list[str] = []
    async with Cast() as cast:
        conductor = Conductor([tracks], cast, tmp_path, told.append)
        await conductor.play()
    for found in conductor.results:
        assert found.measured is not None, found.broken
        assert len(found.measured.seconds) == 2
        assert found.measured.calls
        assert not found.measured.wrong
    assert len(told) == 4


async def test_a_row_that_breaks_is_a_miss_and_the_next_one_is_played(tmp_path: Path) -> None:
    """One line of why in the table, the rest in the row's folder; what was never reached is a miss as well."""
    track = [replace(ROW, play=broken), ROW]
    async with Cast() as cast:
        conductor = Conductor([[track]], cast, tmp_path, lambda _: None)
        assert [one.misses for one in conductor.results] == [["not played"], ["not played"]]
        await conductor.play()
    first, second = conductor.results
    (miss,) = first.misses
    why, _, folder = miss.partition(", see ")
    assert why == "RuntimeError: no such thing"
    assert "and more of it" in (tmp_path / folder / "broken").read_text()
    assert second.misses == []


@pytest.mark.parametrize(
    ("found", "misses"),
    [
        (result(0.2, 1.0), []),
        (result(0.2, 1.1), ["1.100 s, promised 1 s"]),
        (result(), ["nothing was timed"]),
        (result(0.2, calls=()), ["no call was made"]),
        (result(0.2, calls=[ANSWERED, REFUSED, REFUSED]), ["2 calls failed: 2 POST 503 UH no_instance"]),
        (result(0.2, wrong=["not by that"]), ["not by that"]),
    ],
)
def test_what_a_miss_is(found: Result, misses: list[str]) -> None:
    """The longest time, failed calls, no calls, and whatever a row finds wrong itself."""
    assert found.misses == misses


def test_without_a_promised_time_none_is_wanted() -> None:
    """Such a row is about calls alone."""
    silent = replace(ROW, bar=Bar(None))
    assert Result(silent, Measured([], [ANSWERED])).misses == []


def test_the_page_has_every_row_and_says_which_were_missed() -> None:
    """Rows of one event stand together; a figure is the time itself, or median and maximum of many."""
    real = replace(ROW, ground=Ground.NACOS_3)
    other = replace(ROW, event="another event", bar=Bar(2.0, words="2 s after it"))
    measured = [
        Result(real, Measured([0.004], [ANSWERED], remark="by the wire")),
        Result(other, Measured([0.1, 0.2, 0.3, 2.5], [ANSWERED, REFUSED])),
        Result(ROW, broken="not to be had"),
    ]
    page = report(measured, date="2026-01-31", took=90.0)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("| ")]
    assert rows[1:] == [
        ["an event", "Nacos 3.1.0", "1 s", "4 ms", "1", "0", "by the wire"],
        ["an event", "embedded", "1 s", "-", "-", "-", "**missed**"],
        ["another event", "embedded", "2 s after it", "250 ms, at most 2.5 s (4 times)", "2", "1", "**missed**"],
    ]
    assert "3 rows, 2 missed" in page
    assert "- an event (embedded): not to be had" in page
    assert "2026-01-31" in page
    assert "1.5 minutes" in page


def test_every_event_of_freshness_has_a_row() -> None:
    """The promises as they were made; those that a real server can break are not left to the embedded one alone."""
    rows = [*freshness.PRECISE, *freshness.REAL, *freshness.USERS, *freshness.EMBEDDED]
    real = {row.event for row in rows if row.ground.is_real}
    assert {
        "push reaches the socket",
        "Nacos process restarted",
        "stream ended cleanly by the server",
        "token expired",
        "403: right taken and given",
        "password rotated in its file",
        "ConnectReset",
        "server list changed",
    } <= real
    assert {row.event for row in rows} - real >= {
        "connection unregistered (301)",
        "server's clock jumps back",
        "next node's clock is behind",
        "a single push lost",
        "a single push lost, a listed instance refuses",
    }


async def test_a_push_is_stamped_when_it_passes() -> None:
    """The relay lets everything through, and knows since when a mark has gone by."""
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(4) + b" NotifySubscriberRequest 17")
        await over.wait()
        writer.close()

    async with (
        await asyncio.start_server(serve, "127.0.0.1", 0) as server,
        relayed(server.sockets[0].getsockname()[1]) as relay,
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
        before = clock.wall()
        writer.write(b"ping")
        assert before <= await relay.push_with(b" 17") <= clock.wall()
        assert await reader.readexactly(4) == b"ping"
        assert relay.has_passed(b"ping", since=0)
        assert not relay.has_passed(b"ping", since=relay.mark())
        over.set()
        assert await reader.read() == b" NotifySubscriberRequest 17"
        writer.close()
