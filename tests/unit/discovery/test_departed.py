"""Addresses that left, on disk."""

import json
from pathlib import Path
from typing import Any

import pytest

from sidecar.cluster.addresses import MOST, Departed
from sidecar.discovery.departed import NAME, DepartedFile
from sidecar.discovery.last_good import Ignored

A, B = Departed("10.0.0.1:8080", "orders", 90.0), Departed("[2001:db8::1]:80", "stock", 95.5)


class Clock:
    """The wall clock; the loop's is given in each call."""

    def __init__(self) -> None:
        self.time = 1_800_000_000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def wall() -> Clock:
    return Clock()


@pytest.fixture
def file(tmp_path: Path, wall: Clock) -> DepartedFile:
    return DepartedFile(tmp_path / "lists", wall=wall)


async def test_what_is_kept_comes_back_in_another_clock(file: DepartedFile, wall: Clock) -> None:
    """The loop's clock of the next process begins anew; how long ago each left does not."""
    await file.save([A, B], 100.0)
    wall.time += 30.0
    assert file.load(1000.0) == [A._replace(left_at=960.0), B._replace(left_at=965.5)]


async def test_a_wall_clock_that_was_set_back_makes_nobody_leave_in_the_future(file: DepartedFile, wall: Clock) -> None:
    """They left just now, as far as anybody knows."""
    await file.save([A], 100.0)
    wall.time -= 3600.0
    assert file.load(100.0) == [A._replace(left_at=100.0)]


async def test_as_many_as_are_ever_remembered_are_kept(file: DepartedFile) -> None:
    """In pieces, so that calls go on meanwhile."""
    many = [Departed(f"10.1.{number >> 8}.{number & 255}:80", "orders", float(number)) for number in range(MOST)]
    await file.save(many, 100_000.0)
    assert file.load(100_000.0) == many
    assert file.path.stat().st_size < 1 << 20


def test_nothing_kept_is_nothing(file: DepartedFile) -> None:
    """No file is no reason to complain."""
    assert file.load(0.0) == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"format": 2, "departed": []}', "format 2 is not 1"),
        ('{"format": 1, "departed": [["10.0.0.1:80", "orders"', "damaged"),
        ('{"format": 1}', "damaged"),
        ("[]", "damaged"),
        ("\xff", "damaged"),
    ],
)
def test_what_is_not_ours_is_not_believed(tmp_path: Path, text: str, reason: str) -> None:
    """With the reason, and without an end of the start."""
    (tmp_path / NAME).write_text(text, encoding="latin-1")
    assert DepartedFile(tmp_path).load(0.0) == Ignored(tmp_path / NAME, reason)


@pytest.mark.parametrize(
    "entry",
    [
        *([1, "orders", 1.0], ["a:1", None, 1.0], ["a:1", "orders", "1"], ["a:1", "orders"], 7),
        *(["a:1", "orders", float("nan")], ["a:1", "orders", float("inf")], ["a:1", "orders", 10**400]),
    ],
)
def test_every_entry_is_checked(tmp_path: Path, entry: Any) -> None:
    """One that is none spoils the file."""
    (tmp_path / NAME).write_text(json.dumps({"format": 1, "departed": [entry]}))
    assert DepartedFile(tmp_path).load(0.0) == Ignored(tmp_path / NAME, "damaged")


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    """A folder in its place, for one."""
    (tmp_path / NAME).mkdir()
    assert DepartedFile(tmp_path).load(0.0) == Ignored(tmp_path / NAME, "cannot be read: Is a directory")


async def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """The caller counts it."""
    (tmp_path / "lists").write_text("")
    with pytest.raises(OSError, match=r"exists|directory"):
        await DepartedFile(tmp_path / "lists").save([A], 100.0)
