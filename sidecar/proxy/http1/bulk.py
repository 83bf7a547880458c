"""The rest of a large upload, handed by the kernel from the app's connection to the instance's (`proxy.splice`).

Only what nobody has to look at goes this way: a body of known length, of which nothing is kept for another attempt any
more, between two connections without TLS, while no answer has begun. All else is the exchange's as before: its clocks,
its counters, and every end that the upload may come to.
"""

from typing import TYPE_CHECKING

from sidecar.proxy.http1.body import LengthBody
from sidecar.proxy.http1.phase import Phase
from sidecar.proxy.splice import Splice

if TYPE_CHECKING:
    from sidecar.proxy.http1.attempt import Attempt
    from sidecar.proxy.http1.exchange import Exchange
    from sidecar.proxy.http1.upstream import InstanceConnection

WORTH_IT = 256 * 1024
"""Bytes still to come: with fewer the pipe and the descriptors cost as much as they save."""


class Bulk:
    """One upload's rest; it hears of the splice what its bytes would have told on the way through us."""

    __slots__ = ("_attempt", "_body", "_connection", "_exchange", "_splice")

    def __init__(
        self, exchange: "Exchange", attempt: "Attempt", connection: "InstanceConnection", body: LengthBody
    ) -> None:
        self._exchange = exchange
        self._attempt = attempt
        self._connection = connection
        self._body = body
        loop, source = exchange.upstream.runtime.loop, exchange.app.sock
        self._splice = Splice(loop, source, connection.sock, body.left, self, lambda: connection.unwritten)

    def __repr__(self) -> str:
        return f"<Bulk {self._splice!r}>"

    @property
    def stuck(self) -> bool:
        """The instance takes no more for now."""
        return self._splice.waits

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
        exchange = self._exchange
        exchange.bulk = None
        exchange.uploaded = True
        if exchange.phase is Phase.AWAITING:
            self._attempt.written(exchange.upstream.runtime.now())
        exchange.app.uploaded()

    def source_ended(self, error: OSError | None) -> None:
        self._exchange.app.upload_ended(error)

    def target_ended(self, error: OSError) -> None:
        self._connection.unwritable(error)

    def refused(self) -> None:
        exchange = self._exchange
        exchange.bulk = None
        exchange.upstream.runtime.splices = False
        exchange.app.read_on()


def begin(exchange: "Exchange", body: LengthBody) -> Bulk | None:
    """None: it goes on through us, piece by piece."""
    attempt, replay = exchange.attempt, exchange.replay
    if attempt is None or exchange.phase is not Phase.AWAITING or replay is None or replay.whole:
        return None
    connection = attempt.connection
    if connection is None or not connection.plain:
        return None
    try:
        bulk = Bulk(exchange, attempt, connection, body)
    except OSError:
        return None  # descriptors have run out: what is read goes through those that are open
    connection.be_patient()
    return bulk
