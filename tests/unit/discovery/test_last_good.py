"""Lists on disk."""

import asyncio
import json
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from sidecar.cluster.instance import Instance, Origin, Push
from sidecar.cluster.policy import Discovery
from sidecar.discovery import last_good
from sidecar.discovery.gradual import A_TURN
from sidecar.discovery.last_good import FORMAT, REFRESH, Ignored, LastGood, _raw

ORDERS = Discovery(service="order-service")
ONE = Instance("10.0.0.1", 8080, weight=0.5, cluster="A", metadata=MappingProxyType({"v": "1"}))
TWO = Instance("::1", 8081, healthy=False, enabled=False)


class Wall:
    """A clock on the wall that the test moves."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
def kept(tmp_path: Path, wall: Wall) -> LastGood:
    return LastGood(tmp_path / "lists", max_age=3600.0, wall=wall)


def instances(loaded: Push | Ignored | None) -> tuple[Instance, ...]:
    assert isinstance(loaded, Push)
    return loaded.instances


async def test_what_was_saved_is_loaded(kept: LastGood) -> None:
    """Every field comes back, and the list says that it is from the disk."""
    await kept.save("orders", ORDERS, [ONE, TWO])
    loaded = await kept.load("orders", ORDERS)
    assert isinstance(loaded, Push)
    assert loaded.instances == (ONE, TWO)
    assert (loaded.service, loaded.origin, loaded.epoch) == ("orders", Origin.DISK, 0)


async def test_a_list_is_as_old_as_the_last_word_of_the_registry(kept: LastGood, wall: Wall) -> None:
    """However late it was written; but whether it is too old to be served counts from the writing."""
    await kept.save("orders", ORDERS, [ONE], age=3000.0)
    wall.now += 3000.0
    loaded = await kept.load("orders", ORDERS)
    assert isinstance(loaded, Push)
    assert loaded.age == 6000.0


async def test_a_file_without_the_last_word_is_as_old_as_it_is(kept: LastGood, wall: Wall) -> None:
    """An earlier version wrote it."""
    subject = kept._subject("orders", ORDERS)
    document = {"saved_at": wall.now - 60, "format": FORMAT, "of": subject, "instances": [_raw(ONE)]}
    kept.path("orders").parent.mkdir()
    kept.path("orders").write_text(json.dumps(document))
    loaded = await kept.load("orders", ORDERS)
    assert isinstance(loaded, Push)
    assert loaded.age == 60.0


async def test_no_file_is_no_list_and_no_complaint(kept: LastGood) -> None:
    """The first start is nothing to warn about."""
    assert await kept.load("orders", ORDERS) is None


async def test_an_empty_list_is_kept_and_not_served(kept: LastGood) -> None:
    """It erases what was there before; a start from nothing is a start without a list."""
    await kept.save("orders", ORDERS, [ONE])
    await kept.save("orders", ORDERS, [])
    assert await kept.load("orders", ORDERS) is None


async def test_a_list_that_is_too_old_is_ignored(kept: LastGood, wall: Wall) -> None:
    """Its age is in the reason."""
    await kept.save("orders", ORDERS, [ONE])
    wall.now += 3600.0
    assert instances(await kept.load("orders", ORDERS)) == (ONE,)
    wall.now += 1.0
    assert await kept.load("orders", ORDERS) == Ignored(kept.path("orders"), "3601 s old, older than 3600 s")


@pytest.mark.parametrize(
    "other",
    [
        Discovery(service="other-service"),
        Discovery(service="order-service", group="OTHER"),
        Discovery(service="order-service", clusters=("A",)),
        Discovery(service="order-service", healthy_only=False),
        Discovery(service="order-service", metadata={"v": "2"}),
    ],
)
async def test_a_list_of_something_else_is_ignored(kept: LastGood, other: Discovery) -> None:
    """After a change of the configuration the old file may name the wrong instances."""
    await kept.save("orders", ORDERS, [ONE])
    loaded = await kept.load("orders", other)
    assert isinstance(loaded, Ignored)
    assert loaded.reason == "about another service, group, namespace or filter"


async def test_another_namespace_is_another_list(kept: LastGood, tmp_path: Path, wall: Wall) -> None:
    """The same folder after a move from test to production must not serve test instances."""
    await kept.save("orders", ORDERS, [ONE])
    production = LastGood(tmp_path / "lists", namespace="prod", wall=wall)
    assert isinstance(await production.load("orders", ORDERS), Ignored)


WHOLE = {"host": "10.0.0.1", "port": 1, "weight": 1, "healthy": True, "enabled": True, "cluster": "", "metadata": {}}


@pytest.mark.parametrize(
    "damage",
    [
        {"port": "8080"},
        {"port": 0},
        {"port": 65536},
        {"host": None},
        {"weight": "heavy"},
        {"weight": float("nan")},
        {"weight": 10**400},
        {"cluster": 7},
        {"metadata": {"v": 1}},
        {"metadata": []},
    ],
)
async def test_a_file_with_one_wrong_field_is_ignored_as_a_whole(kept: LastGood, damage: dict[str, object]) -> None:
    """Half of a list is worse than none: it would look like a shrink."""
    await kept.save("orders", ORDERS, [ONE])
    document = json.loads(kept.path("orders").read_text())
    document["instances"].append(WHOLE | damage)
    kept.path("orders").write_text(json.dumps(document))
    assert await kept.load("orders", ORDERS) == Ignored(kept.path("orders"), "damaged")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"format": 1}', b'"text"'])
async def test_a_corrupt_file_is_ignored_and_stays(kept: LastGood, content: bytes) -> None:
    """It is left for whoever wants to know, until the next save replaces it."""
    kept.path("orders").parent.mkdir()
    kept.path("orders").write_bytes(content)
    assert await kept.load("orders", ORDERS) == Ignored(kept.path("orders"), "damaged")
    assert kept.path("orders").read_bytes() == content


@pytest.mark.parametrize("stamp", [float("nan"), float("inf"), 10**400], ids=["nan", "inf", "huge"])
@pytest.mark.parametrize("field", ["saved_at", "confirmed_at"])
async def test_a_time_that_is_none_is_not_young(kept: LastGood, field: str, stamp: float) -> None:
    """Nothing says how old such a list is; nor does it keep the process from its start."""
    await kept.save("orders", ORDERS, [ONE])
    document = json.loads(kept.path("orders").read_text())
    kept.path("orders").write_text(json.dumps(document | {field: stamp}))
    assert await kept.load("orders", ORDERS) == Ignored(kept.path("orders"), "damaged")


async def test_a_newer_format_is_ignored_by_name(kept: LastGood) -> None:
    """A downgrade must not guess."""
    await kept.save("orders", ORDERS, [ONE])
    kept.path("orders").write_bytes(kept.path("orders").read_bytes().replace(b'"format": 1', b'"format": 2'))
    assert await kept.load("orders", ORDERS) == Ignored(kept.path("orders"), "format 2 is not 1")


async def test_a_file_that_cannot_be_read_is_ignored(kept: LastGood) -> None:
    """A folder in its place, missing rights: the reason is the system's."""
    kept.path("orders").mkdir(parents=True)
    assert await kept.load("orders", ORDERS) == Ignored(kept.path("orders"), "cannot be read: Is a directory")


@pytest.mark.parametrize("name", ["../orders", "/etc/passwd", "..", ".", "a/b", "a\x00b", "a%2fb"])
def test_no_name_leads_out_of_the_folder(kept: LastGood, tmp_path: Path, name: str) -> None:
    """Whatever the configuration allows as a name, now or later."""
    path = kept.path(name)
    assert path.resolve().parent == tmp_path / "lists"
    assert path.suffix == ".json"


async def test_a_save_that_fails_leaves_the_old_list_whole(kept: LastGood, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full in the middle of a write: the error is raised and the old file still loads."""
    await kept.save("orders", ORDERS, [ONE])

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        await kept.save("orders", ORDERS, [TWO])
    assert instances(await kept.load("orders", ORDERS)) == (ONE,)


async def test_saves_of_one_service_take_effect_in_order(kept: LastGood) -> None:
    """Twenty at once: the last one called is the one on the disk."""
    await asyncio.gather(*(kept.save("orders", ORDERS, [Instance("10.0.0.1", port)]) for port in range(1, 21)))
    assert instances(await kept.load("orders", ORDERS)) == (Instance("10.0.0.1", 20),)
    assert [path.name for path in kept.path("orders").parent.iterdir()] == ["orders.json"]


async def test_an_unchanged_list_is_written_again_only_to_stay_young(kept: LastGood, wall: Wall) -> None:
    """Calling often is cheap; the file's age still follows the registry's word."""
    await kept.save("orders", ORDERS, [ONE])
    written = kept.path("orders").stat().st_mtime_ns
    wall.now += REFRESH - 1
    await kept.save("orders", ORDERS, [ONE])
    assert kept.path("orders").stat().st_mtime_ns == written
    wall.now += 1
    await kept.save("orders", ORDERS, [ONE])
    assert json.loads(kept.path("orders").read_text())["saved_at"] == int(wall.now)


async def test_long_lists_are_read_and_put_into_words_a_piece_at_a_time(
    kept: LastGood, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a thousand instances a hundred before the loop turns; equal metadata is one object again."""
    pauses: list[int] = []

    async def counted(steps: Generator[None, None, Any]) -> Any:
        pauses.append(0)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                return end.value
            pauses[-1] += 1

    monkeypatch.setattr(last_good, "gradually", counted)
    many = [replace(ONE, port=port, metadata={"v": "1"}) for port in range(1, 1001)]
    await kept.save("orders", ORDERS, many)
    found = instances(await kept.load("orders", ORDERS))
    assert found == tuple(many)
    assert len({id(one.metadata) for one in found}) == 1
    assert pauses == [1000 / A_TURN - 1] * 2


async def test_a_word_that_stands_twice_costs_nothing_but_the_pieces(kept: LastGood) -> None:
    """Metadata may be called `instances`."""
    odd = replace(ONE, metadata={"instances": "[]"})
    await kept.save("orders", ORDERS, [odd, TWO])
    assert instances(await kept.load("orders", ORDERS)) == (odd, TWO)


async def test_files_are_for_the_owner_alone(kept: LastGood) -> None:
    """Metadata may hold what is nobody else's business."""
    await kept.save("orders", ORDERS, [ONE])
    assert kept.path("orders").stat().st_mode & 0o077 == 0
