"""Bytes to a stream without ever waiting for its reader.

Why: stdout of a pod is a pipe. When whoever reads it stops, a write blocks, and with it every request. Making the
descriptor non-blocking is no way out: that flag belongs to the pipe's open description, which other processes may
share. So one thread a stream does the waiting, and what piles up before it is bounded: beyond that, chunks are refused
and the caller counts them.
"""

import contextlib
import os
import select
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread

CAPACITY = 4 * 1024 * 1024
"""Backlog in bytes: some twenty thousand access lines, a few seconds of a busy sidecar."""

_FILE_MODE = 0o640

Item = bytes | Callable[[], bool]
"""What the thread works off: bytes to write, or a step that says whether to go on."""


class Sink:
    """One stream: a descriptor that somebody else owns, or a file of ours that can be opened again."""

    __slots__ = ("_accepted", "_capacity", "_fd", "_path", "_queue", "_settled", "_thread", "failed")

    def __init__(self, target: int | Path, *, capacity: int = CAPACITY) -> None:
        self._path = target if isinstance(target, Path) else None
        self._fd = target if isinstance(target, int) else _open(target)
        self._capacity = capacity
        self._accepted = 0  # written by callers only, and `_settled` by the thread only: no lock is needed
        self._settled = 0
        self.failed = 0
        """Lines that the stream refused for good (no reader, disk full); only ever grows."""
        self._queue: SimpleQueue[Item] = SimpleQueue()
        self._thread = Thread(target=self._run, name="sink", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        return f"<Sink {self._path or self._fd}: {self.backlog} bytes waiting>"

    @property
    def backlog(self) -> int:
        """Bytes accepted and not written yet."""
        return self._accepted - self._settled

    def write(self, chunk: bytes) -> bool:
        """Takes whole lines; False: the backlog is full and they are dropped."""
        if self.backlog + len(chunk) > self._capacity:
            return False
        self._accepted += len(chunk)
        self._queue.put(chunk)
        return True

    def reopen(self) -> None:
        """Opens a file anew under its name, as after a rotation; what was accepted before still goes to the old one."""
        if self._path is not None:
            self._queue.put(self._swap)

    def flush(self, timeout: float = 1.0) -> bool:
        """Waits until all that was accepted is written; blocks at most `timeout` seconds, False when that was too short."""
        reached = Event()

        def arrive() -> bool:
            reached.set()
            return True

        self._queue.put(arrive)
        return reached.wait(timeout)

    def close(self, timeout: float = 1.0) -> bool:
        """Writes what it can within `timeout` seconds and ends the thread."""
        self._queue.put(lambda: False)
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            item = self._queue.get()
            if isinstance(item, bytes):
                self._write_out(item)
                self._settled += len(item)
            elif not item():
                break
        if self._path is not None:
            os.close(self._fd)

    def _write_out(self, chunk: bytes) -> None:
        rest = memoryview(chunk)
        while rest:
            try:
                rest = rest[os.write(self._fd, rest) :]
            except BlockingIOError:  # somebody else made the shared description non-blocking
                _wait_until_writable(self._fd)
            except OSError:
                self.failed += bytes(rest).count(b"\n")
                return

    def _swap(self) -> bool:
        with contextlib.suppress(OSError):  # the folder is gone: better the old file than none
            fresh = _open(self._path) if self._path else self._fd
            os.close(self._fd)
            self._fd = fresh
        return True


def _open(path: Path) -> int:
    """A FIFO that nobody reads is an error (ENXIO): to wait for its reader would stop everything else."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK, _FILE_MODE)
    os.set_blocking(fd, True)
    return fd


def _wait_until_writable(fd: int) -> None:
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    poll.poll()
