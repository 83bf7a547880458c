"""A timeline saved from a real sidecar, replayed under the same configuration and under others."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from sidecar.config.report import FlagError
from sidecar.embedded.faults import AbortConnections, ForcedList, PushNow
from sidecar.embedded.registry import EmbeddedRegistry
from sidecar.exits import Exit
from sidecar.replay.command import replay
from tests.support.http_client import request
from tests.support.providers import Provider, providers
from tests.support.recording import Recording
from tests.support.sidecar_process import SidecarProcess, running
from tests.support.until import until

NOTHING: Mapping[str, str] = MappingProxyType({})

RECORDED = "shrink_threshold: 0.1, confirm: 2s"
"""The protection under which it is recorded: every shrink is doubted, and soon believed."""


def configuration(registry: str, protection: str = RECORDED) -> str:
    """One service; whoever connects has the time that a busy machine takes."""
    return (
        "version: 1\nlisten: null\nadmin: {listen: 127.0.0.1:0}\naccess_log: {path: none}\n"
        f"nacos: {{server_addresses: '{registry}'}}\n"
        "services:\n  - name: orders\n    listen: 127.0.0.1:0\n"
        f"    protection: {{{protection}}}\n"
        "    timeouts: {connect: 10s}\n"
    )


class Play:
    """A registry, three providers and a sidecar; `told` are the events that matter next."""

    def __init__(self, registry: EmbeddedRegistry, process: SidecarProcess, members: list[Provider]) -> None:
        self.registry = registry
        self.process = process
        self.members = members
        self._since = 1

    async def events(self) -> list[dict[str, Any]]:
        """The timeline so far."""
        found: list[dict[str, Any]] = json.loads((await self.process.admin("/events?n=4096")).body)["events"]
        return found

    async def told(self, kind: str, count: int = 1, **detail: object) -> None:
        """Returns when so many events like this have come since the last time."""
        seen = 0

        async def there() -> bool:
            nonlocal seen
            like = [
                event["seq"]
                for event in await self.events()
                if event["seq"] >= self._since and event["kind"] == kind and detail.items() <= event["detail"].items()
            ]
            seen = like[count - 1] if len(like) >= count else 0
            return bool(seen)

        await until(there)
        self._since = seen + 1

    async def calls_until(self, kind: str) -> None:
        """Calls the service until an event of this kind has come."""
        port = await self.process.bound("orders")

        async def there() -> bool:
            await request(port)
            return any(event["kind"] == kind and event["seq"] >= self._since for event in await self.events())

        await until(there)
        await self.told(kind)

    async def save(self, file: Path) -> Path:
        """What `curl` would write."""
        await asyncio.to_thread(file.write_bytes, (await self.process.admin("/events?n=4096")).body)
        return file


@asynccontextmanager
async def play(folder: Path) -> AsyncIterator[Play]:
    """All three are listed and in force."""
    async with providers(3) as members, EmbeddedRegistry(port=0) as registry:
        for member in members:
            registry.register("orders", "127.0.0.1", member.port)
        async with running(folder, configuration(registry.address)) as process:
            await process.ready()
            scene = Play(registry, process, members)
            await scene.told("registry_connected")
            await scene.told("snapshot_applied", added=3)
            yield scene


async def whatever_happens(scene: Play) -> None:
    """A false empty list, a shrink that is confirmed, an instance that comes back, one that is killed, a lost session."""
    registry, (_, second, third) = scene.registry, scene.members
    await registry.apply(ForcedList("orders"))
    await registry.apply(PushNow("orders"))
    await scene.told("push_refused", why="empty", kept=3)
    await scene.told("ghost", count=3)
    registry.lift("forced_list")
    await registry.apply(PushNow("orders"))
    await scene.told("hold_ended", count=3, by="restored")

    registry.deregister("orders", "127.0.0.1", second.port)
    registry.deregister("orders", "127.0.0.1", third.port)
    await scene.told("hold_ended", count=2, by="confirmed")

    registry.register("orders", "127.0.0.1", second.port)
    await scene.told("endpoint_added")
    await scene.told("probe", result="ok")
    await second.stop()
    await scene.calls_until("endpoint_quarantined")
    await second.start()
    await scene.told("endpoint_recovered")

    await registry.apply(AbortConnections())
    await scene.told("registry_disconnected")
    await scene.told("registry_connected")
    await scene.told("push")


class Replays:
    """What became of a timeline under several configurations; providers are a, b and c."""

    def __init__(self, folder: Path, events: Path, ports: Sequence[int]) -> None:
        self._folder = folder
        self._events = events
        self._names = {f"127.0.0.1:{port}": name for port, name in zip(ports, "abc", strict=True)}

    def under(self, protection: str) -> dict[str, Any]:
        """The report, as JSON."""
        other = self._folder / "other.yaml"
        other.write_text(configuration("127.0.0.1:8848", protection))
        verdict = replay(self._events, other, environ=NOTHING, format="json")
        assert (verdict.code, verdict.err) == (Exit.OK, "")
        found: dict[str, Any] = json.loads(verdict.out)
        return found

    def differing(self, protection: str) -> tuple[set[str], set[str]]:
        """Decisions that were recorded and are not taken now, and the reverse: `hold_ended restored a`."""
        document = self.under(protection)
        was, now = (
            {self._word(one) for each in document["differences"] for one in each[side]} for side in ("recorded", "now")
        )
        return was, now

    def _word(self, one: dict[str, Any]) -> str:
        facts = [value for name, value in one["detail"].items() if name in {"why", "by"}]
        return " ".join([one["kind"], *facts, *([self._names[one["endpoint"]]] if one["endpoint"] else [])])


@pytest.mark.own_process
async def test_what_a_real_sidecar_decided_is_decided_again_or_differs_as_it_must(tmp_path: Path) -> None:
    """The same configuration decides the same; each other one differs in what its one changed key governs, and nowhere else."""
    async with play(tmp_path) as scene:
        await whatever_happens(scene)
        saved = await scene.save(tmp_path / "events.json")
        replays = Replays(tmp_path, saved, [member.port for member in scene.members])

    same = replays.under(RECORDED)
    assert same["differences"] == []
    assert [note for note in same["notes"] if not note.startswith("not compared, since it depends on calls")] == []
    assert same["same"] == same["recorded"] > 15

    held = {"push_refused empty", *(f"ghost {one}" for one in "abc"), *(f"hold_ended restored {one}" for one in "abc")}
    removed = {"snapshot_applied", *(f"endpoint_{what} {one}" for what in ("removed", "added") for one in "abc")}
    assert replays.differing(f"{RECORDED}, on_empty: obey") == (held, removed)

    confirmed = {"hold_ended confirmed b", "hold_ended confirmed c"}
    patient = "shrink_threshold: 0.1, confirm: 10m"
    assert replays.differing(patient) == (
        {*confirmed, "endpoint_added b", "snapshot_applied"},
        {"push_refused shrink", "hold_ended restored b"},
    )

    assert replays.differing("shrink_threshold: 1.0, confirm: 2s") == (
        {"push_refused shrink", "ghost b", "ghost c", *confirmed},
        {"endpoint_removed b", "endpoint_removed c", "snapshot_applied"},
    )


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A timeline of `orders`, held since an empty list."""
    recording = Recording()
    recording.lists("ab")
    recording.wait(2, alive="ab")
    recording.lists("")
    recording.wait(2, alive="ab")
    file = tmp_path / "events.json"
    file.write_text(recording.body())
    return file


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A configuration of two services, one of them `orders`."""
    file = tmp_path / "other.yaml"
    file.write_text("version: 1\nservices:\n  - {name: orders, protection: {on_empty: obey}}\n  - {name: users}\n")
    return file


def test_text_is_for_people(saved: Path, other: Path) -> None:
    """A line a difference and a sum; exit 0 whatever differs."""
    verdict = replay(saved, other, environ=NOTHING)
    assert (verdict.code, verdict.err) == (Exit.OK, "")
    head, line, total = verdict.out.splitlines()
    assert head.startswith(f"{saved}: ")
    assert head.endswith(f"; replayed under {other}")
    assert line == (
        "10:00:02.000 orders: recorded push_refused why=empty kept=2, ghost 10.0.0.1:80 10.0.0.2:80; "
        "now snapshot_applied removed=2, endpoint_removed 10.0.0.1:80 10.0.0.2:80"
    )
    assert total == "1 difference: 3 of 6 recorded decisions are the same"


def test_a_busy_recording_is_compared_with_patience(saved: Path, other: Path) -> None:
    """What `loop_lag` says it was late by may lie between the same decisions."""
    other.write_text("version: 1\nservices: [{name: orders}]\n")
    body = json.loads(saved.read_text())
    first = next(place for place, event in enumerate(body["events"]) if event["kind"] == "probe")
    for event in body["events"][first:]:
        event["mono_s"] += 3.0
    saved.write_text(json.dumps(body))
    assert ": recorded at 10:00:02." in replay(saved, other, environ=NOTHING).out
    last = body["events"][-1]
    body["events"].append(
        last | {"seq": last["seq"] + 1, "kind": "loop_lag", "endpoint": None, "detail": {"lag_s": 3.5}}
    )
    saved.write_text(json.dumps(body))
    assert "no difference" in replay(saved, other, environ=NOTHING).out


def test_services_of_one_side_only_are_left_out(saved: Path, other: Path) -> None:
    """They are named; without any that both have there is nothing to replay."""
    body = json.loads(saved.read_text())
    last = body["events"][-1]
    push = next(event for event in body["events"] if event["kind"] == "push")
    body["events"].append(push | {"seq": last["seq"] + 1, "mono_s": last["mono_s"], "service": "parcels"})
    saved.write_text(json.dumps(body))
    assert "note: parcels: left out: not in this configuration" in replay(saved, other, environ=NOTHING).out
    other.write_text("version: 1\nservices: [{name: users}]\n")
    verdict = replay(saved, other, environ=NOTHING)
    assert (verdict.out, verdict.code) == ("", Exit.USAGE)
    assert "no list of a service of the configuration is in it" in verdict.err


def test_a_service_without_a_list_to_start_from_is_left_out(saved: Path, other: Path) -> None:
    """The ring has kept only lists that were doubted, and of another service a whole one."""
    body = json.loads(saved.read_text())
    push = next(event for event in body["events"] if event["kind"] == "push")
    body["events"] = [event for event in body["events"] if event["seq"] > 4]
    last = body["events"][-1]
    body["events"].append(push | {"seq": last["seq"] + 1, "mono_s": last["mono_s"], "service": "users"})
    saved.write_text(json.dumps(body))
    told = replay(saved, other, environ=NOTHING).out
    assert "note: orders: left out: no whole list of it that was believed is in the file" in told


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", ":1:1: not JSON: Expecting value"),
        (b"curl: (7) Failed to connect", ":1:1: not JSON: Expecting value"),
        (b"\xff\xfe", ": not UTF-8"),
        (b'{"clusters": []}', ': not a body of /events: expected an object with a list "events"'),
        (b'{"events": [{"seq": 1}]}', ": events[0].at: expected a text, got None"),
    ],
)
def test_a_file_that_is_no_timeline_is_bad_usage(tmp_path: Path, other: Path, content: bytes, message: str) -> None:
    """Exit 2: the file, the place, what was expected, and how to get one; nothing on stdout."""
    file = tmp_path / "events.json"
    file.write_bytes(content)
    verdict = replay(file, other, environ=NOTHING)
    assert (verdict.out, verdict.code) == ("", Exit.USAGE)
    first, second = verdict.err.splitlines()
    assert first.startswith(f"{file}{message}")
    assert second.startswith("save one with: curl ")


ODD: tuple[Any, ...] = (None, True, -1, 0, 1e17, "", "ok", "nacos", [], ["x"], {}, {"a": 1})


def test_whatever_stands_in_a_file_there_is_a_verdict(saved: Path, other: Path) -> None:
    """One value of a true timeline is replaced by an odd one, five hundred times: replayed, or refused with a reason."""
    rng, whole = random.Random(1), saved.read_text()
    codes = set()
    for _ in range(500):
        body = json.loads(whole)
        event = rng.choice(body["events"])
        target = event if rng.random() < 0.4 or not event["detail"] else event["detail"]
        target[rng.choice(list(target))] = rng.choice(ODD)
        saved.write_text(json.dumps(body))
        verdict = replay(saved, other, environ=NOTHING)
        assert bool(verdict.out) == (verdict.code is Exit.OK)
        assert bool(verdict.err) == (verdict.code is Exit.USAGE)
        codes.add(verdict.code)
    assert codes == {Exit.OK, Exit.USAGE}


def test_a_file_that_is_not_there_is_bad_usage(tmp_path: Path, other: Path) -> None:
    """So is a folder; the reason of the operating system is told."""
    for file, reason in ((tmp_path / "nowhere.json", "No such file or directory"), (tmp_path, "Is a directory")):
        verdict = replay(file, other, environ=NOTHING)
        assert verdict == ("", f"{file}: cannot be read: {reason}\n", Exit.USAGE)


def test_a_configuration_that_is_not_valid_is_78(saved: Path, other: Path) -> None:
    """Every problem with its place, as `check` tells them."""
    other.write_text("version: 1\nservices: [{name: orders, protection: {on_empty: perhaps}}]\n")
    verdict = replay(saved, other, environ=NOTHING)
    assert (verdict.out, verdict.code) == ("", Exit.CONFIG)
    assert f"{other}:2:" in verdict.err


def test_without_a_configuration_it_is_bad_usage(saved: Path, other: Path) -> None:
    """SIDECAR_CONFIG does what the flag does."""
    with pytest.raises(FlagError, match="give --config FILE"):
        replay(saved, None, environ=NOTHING)
    assert replay(saved, None, environ={"SIDECAR_CONFIG": str(other)}).code is Exit.OK
