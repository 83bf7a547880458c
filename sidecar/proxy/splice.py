"""Bytes from one connection to another inside the kernel: splice(2), by way of a pipe.

Why: what a large body costs is being copied out of the kernel and in again. Here its pages change hands, and the
process touches none of them, which halves the cost (docs/performance.md).

How: both transports rest meanwhile. The source's has stopped reading, and nothing more is written to the target's. Their
sockets are watched by an epoll of our own, and that by the loop: no loop lets anybody watch what its transports use, and
uvloop tells nobody of a reset of what is watched directly. They are asked for their number each time: a transport that
closes leaves them without one, and the number may be another connection's a moment later.
"""

import asyncio
import errno
import fcntl
import os
import select
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

PIPE = 256 * 1024
"""Bytes that are moved in one turn of the loop, as many as it reads at once elsewhere: more would be no cheaper and keep
others waiting. Whoever has very many pipes gets smaller ones from the kernel, which are slower and nothing else."""

POSSIBLE = hasattr(os, "splice") and hasattr(select, "epoll")
"""Linux."""

_FLAGS = os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK if POSSIBLE else 0
_CANNOT = frozenset({errno.EINVAL, errno.ENOSYS, errno.EPERM, errno.EOPNOTSUPP})
"""What a kernel says, or whoever stands before it, that does not do this with connections."""


class Ends(Protocol):
    """Whom a splice tells. It has stopped by itself before anything but `moved` is called."""

    def moved(self, count: int) -> None:
        """So many bytes have come from the source."""
        ...

    def arrived(self) -> None:
        """All have been taken by the target's kernel."""
        ...

    def source_ended(self, error: OSError | None) -> None:
        """FIN came before all the bytes did, or with an error something worse."""
        ...

    def target_ended(self, error: OSError) -> None:
        """It takes no more. What it said before is still to be read."""
        ...

    def refused(self) -> None:
        """This kernel does not splice: nothing has been moved, and the transports may go on."""
        ...


class Splice:
    """`count` bytes, from now on."""

    __slots__ = (
        "_ends",
        "_epoll",
        "_from_pipe",
        "_inside",
        "_into_pipe",
        "_left",
        "_loop",
        "_source",
        "_target",
        "_unwritten",
        "waits",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        source: socket.socket,
        target: socket.socket,
        count: int,
        ends: Ends,
        unwritten: Callable[[], int],
    ) -> None:
        """`unwritten`: bytes that the target's transport has yet to write, which go first.

        Raises OSError when descriptors have run out.
        """
        self._loop = loop
        self._source = source
        self._target = target
        self._ends = ends
        self._unwritten = unwritten
        self._left = count
        self._inside = 0
        """Bytes that have left the source and not reached the target."""
        self._epoll = select.epoll()
        try:
            self._from_pipe, self._into_pipe = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            self._epoll.close()
            raise
        with suppress(OSError):
            fcntl.fcntl(self._into_pipe, fcntl.F_SETPIPE_SZ, PIPE)
        self.waits = unwritten() > 0
        """The target takes no more for now."""
        if self.waits:
            self._epoll.register(self._target, select.EPOLLOUT)
        else:
            self._epoll.register(self._source, select.EPOLLIN)
        loop.add_reader(self._epoll.fileno(), self._ready)

    def __repr__(self) -> str:
        return f"<Splice {self._left} bytes to come, {self._inside} inside>"

    def stop(self) -> None:
        """Lets go of both connections; what is inside is lost. May be called again."""
        if self._epoll.closed:
            return
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()
        os.close(self._from_pipe)
        os.close(self._into_pipe)

    def _ready(self) -> None:
        if not self.waits:
            self._take_in()
        elif not self._unwritten():
            self._pass_on()

    def _take_in(self) -> None:
        """The pipe is empty, so whoever would block is the source."""
        try:
            count = os.splice(self._source.fileno(), self._into_pipe, min(self._left, PIPE), flags=_FLAGS)
        except BlockingIOError:
            return
        except OSError as error:
            self.stop()
            if error.errno in _CANNOT:
                self._ends.refused()
            else:
                self._ends.source_ended(error)
            return
        if not count:
            self.stop()
            self._ends.source_ended(None)
            return
        self._left -= count
        self._inside = count
        self._ends.moved(count)
        self._pass_on()

    def _pass_on(self) -> None:
        try:
            while self._inside:
                self._inside -= os.splice(self._from_pipe, self._target.fileno(), self._inside, flags=_FLAGS)
        except BlockingIOError:
            self._wait_for_target()
        except OSError as error:
            self.stop()
            self._ends.target_ended(error)
        else:
            self._wait_for_source()

    def _wait_for_target(self) -> None:
        if not self.waits:
            self.waits = True
            self._epoll.unregister(self._source)
            self._epoll.register(self._target, select.EPOLLOUT)

    def _wait_for_source(self) -> None:
        if not self._left:
            self.stop()
            self._ends.arrived()
        elif self.waits:
            self.waits = False
            self._epoll.unregister(self._target)
            self._epoll.register(self._source, select.EPOLLIN)
