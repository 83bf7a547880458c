"""Dialling an instance; turns an OSError into a row of `errors.py`.

A failed dial is a promise: nothing was sent, so any request may go elsewhere.
"""

import asyncio
import errno
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar, cast

from sidecar.certificates import CertificateError
from sidecar.errors import FAILURES, Failure
from sidecar.proxy.handshake import cause_of
from sidecar.proxy.sockets import BLACK_HOLE_MS, set_black_hole_limit, tune
from sidecar.proxy.tls import CutOffError, TurnedAwayError
from sidecar.proxy.trust import Wrap

ProtocolT = TypeVar("ProtocolT", bound=asyncio.Protocol)

_HUNG_UP = frozenset({errno.EINVAL, errno.ENOTCONN})
"""What a socket says that was connected and reset before we could set its options."""

_OWN_SHORTAGE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL, errno.EAGAIN})
"""What says nothing about the instance: our descriptors, ports or memory have run out."""


class DialError(Exception):
    """A dial that did not succeed; `failure` is its row."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.reason)
        self.failure = failure


def failure_of(error: BaseException) -> Failure:
    """The row of what went wrong while connecting."""
    if isinstance(error, TimeoutError):
        return FAILURES["connect_timeout"]
    if isinstance(error, ConnectionError) or (isinstance(error, OSError) and error.errno in _HUNG_UP):
        return FAILURES["refused"]
    if isinstance(error, OSError) and error.errno in _OWN_SHORTAGE:
        return FAILURES["too_many_connections"]
    return FAILURES["unreachable"]


def lost(error: BaseException | None) -> Failure:
    """The row of an established connection that ended: an error is a reset, none is a FIN."""
    if isinstance(error, TurnedAwayError):
        return FAILURES["tls"].because(cause_of(error.alert, error.name))
    return FAILURES["closed"] if error is None or isinstance(error, CutOffError) else FAILURES["reset"]


async def dial(
    host: str, port: int, within: float, factory: Callable[[socket.socket], ProtocolT], wrap: Wrap | None = None
) -> ProtocolT:
    """A connected protocol made by `factory(socket)`, within `within` seconds; raises DialError.

    The factory gets the very socket that the transport uses: peeking and TCP_INFO need no second descriptor. `wrap`
    puts TLS in between; then the protocol is connected when the handshake is over.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + within
    sock = await _connected(host, port, within)
    with _given_up_on_failure(sock):
        tune(sock)
        set_black_hole_limit(sock, BLACK_HOLE_MS)
        if wrap is None:
            _, protocol = await loop.create_connection(lambda: factory(sock), sock=sock)
        else:
            protocol = factory(sock)
            async with asyncio.timeout_at(until):
                await _shake_hands(sock, protocol, wrap)
    return protocol


async def probe(host: str, port: int, within: float, wrap: Wrap | None = None) -> Failure | None:
    """Connects and hangs up; None when somebody listens, and with `wrap` speaks TLS that we accept, as it does ours.

    The connection is closed when this returns.
    """
    try:
        if wrap is None:
            (await _connected(host, port, within)).close()
            return None
        began = asyncio.get_running_loop().time()
        visitor = await dial(host, port, within, lambda _: _Visitor(), wrap)
        return await visitor.leave(within - (asyncio.get_running_loop().time() - began))
    except DialError as error:
        return error.failure


class _Visitor(asyncio.Protocol):
    """Comes to say goodbye: an instance that has something against our certificate may say so only then."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._gone: asyncio.Future[Failure | None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write_eof()

    def connection_lost(self, error: Exception | None) -> None:
        if not self._gone.done():
            self._gone.set_result(lost(error) if isinstance(error, TurnedAwayError) else None)

    async def leave(self, within: float) -> Failure | None:
        """When the instance has answered the goodbye, or its time is over: the handshake was good, after all."""
        try:
            async with asyncio.timeout(within):
                return await asyncio.shield(self._gone)
        except TimeoutError:
            return None
        finally:
            self._transport.abort()


async def _shake_hands(sock: socket.socket, above: asyncio.Protocol, wrap: Wrap) -> None:
    try:
        tls = wrap(above)
    except (CertificateError, ValueError) as error:  # ValueError: a name that can be none, such as one with a dot first
        raise DialError(FAILURES["tls"].because(str(error))) from error
    try:
        await tls.open(sock)
    except TimeoutError:
        raise
    except OSError as error:
        raise DialError(FAILURES["tls"].because(cause_of(error, tls.name))) from error


async def _connected(host: str, port: int, within: float) -> socket.socket:
    """A socket of its own, not create_connection(host): neither loop's transport gives out one that can peek."""
    try:
        sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    except OSError as error:
        raise DialError(failure_of(error)) from error
    with _given_up_on_failure(sock):
        sock.setblocking(False)
        async with asyncio.timeout(within):
            await asyncio.get_running_loop().sock_connect(sock, (host, port))
    return sock


@contextmanager
def _given_up_on_failure(sock: socket.socket) -> Iterator[None]:
    try:
        yield
    except (OSError, UnicodeError) as error:
        # UnicodeError: a host that no resolver is asked for, such as one with an empty label.
        sock.close()
        raise DialError(failure_of(error)) from error
    except BaseException:
        sock.close()
        raise
