"""The rest of a large upload, handed by the kernel from the app's connection to the instance's (`proxy.splice`).

Only what nobody has to look at goes this way: a body of known length, of which nothing is kept for another attempt any
more, between two connections without TLS, while no answer has begun. All else is the exchange's as before: its clocks,
its counters, and every end that the upload may come to.
"""

from typing import TYPE_CHECKING

from sidecar.proxy.http1.body import LengthBody
from sidecar.proxy.http1.phase import Phase
from sidecar.proxy.splice import CANNOT, Splice

if TYPE_CHECKING:
    from sidecar.proxy.http1.attempt import Attempt
    from sidecar.proxy.http1.exchange import Exchange
    from sidecar.proxy.http1.upstream import InstanceConnection

WORTH_IT = 512 * 1024
"""Bytes still to come: with fewer the pipe and its descriptors cost about as much as they save."""


class Handover:
    """Of one upload; it hears of the splice what the bytes would have told on the way through us."""

    __slots__ = ("_attempt", "_body", "_connection", "_exchange", "_splice")

    def __init__(
        self, exchange: "Exchange", attempt: "Attempt", connection: "InstanceConnection", body: LengthBody
    ) -> None:
        """Raises OSError where it is not worth it, or not possible for now."""
        self._exchange = exchange
        self._attempt = attempt
        self._connection = connection
        self._body = body
        loop, source = exchange.upstream.runtime.loop, exchange.app.sock
        self._splice = Splice(loop, source, connection.sock, body.left, self, lambda: connection.unwritten)

    def __repr__(self) -> str:
        return f"<Handover {self._splice!r}>"

    @property
    def blocked(self) -> bool:
        """The instance takes no more bytes for now."""
        return self._splice.blocked

    def stop(self) -> None:
        """Nobody wants the rest, or it is known to come to nothing."""
        self._splice.stop()

    # What the splice tells

    def moved(self, count: int) -> None:
        exchange = self._exchange
        self._body.skip(count)
        exchange.received += count
        exchange.progress = exchange.last_byte = exchange.upstream.runtime.now()

    def arrived(self) -> None:
        # Never under a tunnel: only a request without a body may ask for another protocol.
        exchange = self._exchange
        exchange.handover = None
        exchange.uploaded = True
        if exchange.phase is Phase.AWAITING:
            self._attempt.written(exchange.upstream.runtime.now())
        exchange.app.uploaded()

    def source_ended(self, error: OSError | None) -> None:
        self._exchange.app.upload_ended(error)

    def target_ended(self, error: OSError) -> None:
        if error.errno in CANNOT:
            self._exchange.upstream.runtime.splices = False
        self._connection.unwritable(error)

    def refused(self) -> None:
        exchange = self._exchange
        exchange.handover = None
        exchange.upstream.runtime.splices = False
        exchange.app.read_on()


def begin(exchange: "Exchange", attempt: "Attempt", body: LengthBody) -> Handover | None:
    """None: it goes on through us, piece by piece."""
    connection = attempt.connection
    if connection is None or not connection.plain:
        return None
    try:
        handover = Handover(exchange, attempt, connection, body)
    except OSError:
        return None
    connection.be_patient()
    return handover
