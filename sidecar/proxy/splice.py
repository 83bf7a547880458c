"""Bytes from one connection to another inside the kernel: splice(2), by way of a pipe.

Why: what a large body costs is being copied out of the kernel and in again. Here its pages change hands, and the
process touches none of them, for two thirds of the cost (docs/performance.md).

How: both transports rest meanwhile. The source's has stopped reading, and nothing more is written to the target's. Their
sockets are watched by an epoll of our own, and that by the loop: no loop lets anybody watch what its transports use, and
uvloop tells nobody of a reset of what is watched directly. They are asked for their number each time: a transport that
closes leaves them without one, and the number may be another connection's a moment later.

It is a convenience, so it takes nothing from those who need it: no descriptor but of the first eighth, and not a pipe of
the small size that the kernel gives to whoever has many, with which copying would be cheaper.
"""

import asyncio
import errno
import fcntl
import os
import select
import socket
from collections.abc import Callable
from contextlib import ExitStack
from typing import Protocol

from sidecar.proxy.descriptors import full_for_pipes

PIPE = 256 * 1024
"""Bytes that are moved in one turn of the loop, as many as it reads at once elsewhere: more would be no cheaper and keep
others waiting."""

POSSIBLE = hasattr(os, "splice") and hasattr(select, "epoll")
"""Linux."""

CANNOT = frozenset({errno.EINVAL, errno.ENOSYS, errno.EPERM, errno.EOPNOTSUPP})
"""What a kernel says, or whoever stands before it, that does not do this with connections."""

_FLAGS = os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK if POSSIBLE else 0


class Ends(Protocol):
    """Whom a splice tells. It has let go of both connections before it tells anything but `moved`."""

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
        """It takes no more, and some bytes are lost. What it said before is still to be read."""
        ...

    def refused(self) -> None:
        """This kernel does not do it. Nothing is inside, so the transports may go on from here."""
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
        "_opened",
        "_source",
        "_target",
        "_unwritten",
        "blocked",
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

        Raises OSError where it is not worth it, or not possible for now.
        """
        self._source = source
        self._target = target
        self._ends = ends
        self._unwritten = unwritten
        self._left = count
        self._inside = 0
        """Bytes that have left the source and not reached the target."""
        self.blocked = unwritten() > 0
        """The target takes no more for now."""
        with ExitStack() as opened:
            self._epoll = select.epoll()
            opened.callback(self._epoll.close)
            self._from_pipe, self._into_pipe = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
            opened.callback(os.close, self._from_pipe)
            opened.callback(os.close, self._into_pipe)
            if max(self._epoll.fileno(), self._from_pipe, self._into_pipe) >= full_for_pipes():
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            fcntl.fcntl(self._into_pipe, fcntl.F_SETPIPE_SZ, PIPE)
            self._watch(target if self.blocked else source)
            loop.add_reader(self._epoll.fileno(), self._ready)
            opened.callback(loop.remove_reader, self._epoll.fileno())
            opened.callback(self._forget)
            self._opened = opened.pop_all()

    def __repr__(self) -> str:
        return f"<Splice {self._left} bytes to come, {self._inside} inside>"

    def stop(self) -> None:
        """Lets go of both connections; what is inside is lost. May be called again."""
        self._opened.close()

    def _forget(self) -> None:
        """They know us, and a circle would leave all that they know to the garbage collector."""
        del self._ends, self._unwritten

    def _watch(self, sock: socket.socket) -> None:
        self._epoll.register(sock, select.EPOLLIN if sock is self._source else select.EPOLLOUT)

    def _ready(self) -> None:
        if not self.blocked:
            self._take_in()
        elif not self._unwritten():
            self._pass_on()

    def _take_in(self) -> None:
        """The pipe is empty here, so whoever would block is the source."""
        ends = self._ends
        try:
            count = os.splice(self._source.fileno(), self._into_pipe, min(self._left, PIPE), flags=_FLAGS)
        except BlockingIOError:
            return
        except OSError as error:
            self.stop()
            if error.errno in CANNOT:
                ends.refused()
            else:
                ends.source_ended(error)
            return
        if not count:
            self.stop()
            ends.source_ended(None)
            return
        self._left -= count
        self._inside = count
        ends.moved(count)
        self._pass_on()

    def _pass_on(self) -> None:
        """Into the target, as far as it takes it."""
        ends = self._ends
        try:
            emptied = self._emptied()
            if self._left or not emptied:
                self._wait(blocked=not emptied)
                return
        except OSError as error:
            self.stop()
            ends.target_ended(error)
            return
        self.stop()
        ends.arrived()

    def _emptied(self) -> bool:
        try:
            while self._inside:
                self._inside -= os.splice(self._from_pipe, self._target.fileno(), self._inside, flags=_FLAGS)
        except BlockingIOError:
            return False
        return True

    def _wait(self, *, blocked: bool) -> None:
        """For the target, or for the source."""
        if blocked is not self.blocked:
            self.blocked = blocked
            self._epoll.unregister(self._source if blocked else self._target)
            self._watch(self._target if blocked else self._source)
