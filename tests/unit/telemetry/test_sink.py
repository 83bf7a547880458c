"""A stream may stall, break or be rotated away; the caller never waits."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.telemetry.sink import Sink
from tests.support.until import PATIENCE


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    for fd in (reader, writer):
        with contextlib.suppress(OSError):
            os.close(fd)


def test_what_is_accepted_is_written_in_order(tmp_path: Path) -> None:
    """Chunks reach the file in the order of the calls."""
    sink = Sink(tmp_path / "log")
    assert all(sink.write(f"{n}\n".encode()) for n in range(100))
    assert sink.close(PATIENCE)
    assert (tmp_path / "log").read_text().split() == [str(n) for n in range(100)]


def test_a_reader_that_stands_still_holds_up_nobody(pipe: tuple[int, int]) -> None:
    """With a full pipe a write returns all the same, and past the capacity it says False."""
    reader, writer = pipe
    sink = Sink(writer, capacity=200_000)
    accepted = [sink.write(b"x" * 9_999 + b"\n") for _ in range(100)]
    assert accepted.count(True) in range(20, 28), "capacity plus what fits into the pipe"
    assert not sink.flush(0.01)
    os.close(reader)
    assert sink.close(PATIENCE), "without a reader the rest is given up"


def test_lines_for_a_closed_reader_are_counted(pipe: tuple[int, int]) -> None:
    """A stream without a reader costs the lines, not the process."""
    reader, writer = pipe
    os.close(reader)
    sink = Sink(writer)
    sink.write(b"one\ntwo\n")
    assert sink.flush(PATIENCE)
    assert sink.failed == 2
    assert sink.backlog == 0
    assert sink.close(PATIENCE)


def test_a_descriptor_that_others_made_non_blocking_loses_nothing(pipe: tuple[int, int]) -> None:
    """EAGAIN means wait, in the thread."""
    reader, writer = pipe
    os.set_blocking(writer, False)
    sink = Sink(writer)
    sink.write(b"x" * 300_000)
    read = 0
    while read < 300_000:
        read += len(os.read(reader, 65_536))
    assert sink.close(PATIENCE)
    assert sink.failed == 0


def test_a_fifo_that_nobody_reads_is_an_error_and_no_wait(tmp_path: Path) -> None:
    """To wait for its reader would stop the process; with a reader it is a file like any other, and blocks."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with pytest.raises(OSError, match="No such device"):
        Sink(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    sink = Sink(fifo)
    assert os.get_blocking(sink._fd)
    sink.write(b"line\n")
    assert sink.close()
    assert os.read(reader, 100) == b"line\n"
    os.close(reader)


def test_a_rotated_file_is_opened_anew(tmp_path: Path) -> None:
    """After reopen() lines go to the name, before it to the file that was moved away."""
    sink = Sink(tmp_path / "log")
    sink.write(b"before\n")
    assert sink.flush(PATIENCE)
    (tmp_path / "log").rename(tmp_path / "log.1")
    sink.write(b"still before\n")
    sink.reopen()
    sink.write(b"after\n")
    assert sink.close(PATIENCE)
    assert (tmp_path / "log.1").read_text() == "before\nstill before\n"
    assert (tmp_path / "log").read_text() == "after\n"


def test_a_folder_that_is_gone_at_reopen_keeps_the_old_file(tmp_path: Path) -> None:
    """A failed reopen loses no line."""
    folder = tmp_path / "logs"
    folder.mkdir()
    sink = Sink(folder / "log")
    kept = os.open(folder / "log", os.O_RDONLY)
    (folder / "log").unlink()
    folder.rmdir()
    sink.reopen()
    sink.write(b"line\n")
    assert sink.close(PATIENCE)
    assert os.read(kept, 100) == b"line\n"
    os.close(kept)


def test_a_file_that_cannot_be_opened_is_told_at_once(tmp_path: Path) -> None:
    """The mistake shows at start, not with the first line."""
    with pytest.raises(FileNotFoundError):
        Sink(tmp_path / "missing" / "log")


def test_it_shows_what_waits(tmp_path: Path) -> None:
    """The repr names the stream and its backlog."""
    sink = Sink(tmp_path / "log")
    assert repr(sink) == f"<Sink {tmp_path / 'log'}: 0 bytes waiting>"
    assert sink.close(PATIENCE)
