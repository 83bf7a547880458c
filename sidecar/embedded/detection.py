"""Finds clients that are gone without a word: asks the idle ones, evicts those that do not answer.

As on the Java server from 2.3 on: every 3 s the connections that were idle for 20 s are sent
ClientDetection; one that stays silent for 5 s is unregistered, its stream and connection closed.
"""

import asyncio

from sidecar.embedded import messages
from sidecar.embedded.connections import Connection, Connections, Unacked
from sidecar.embedded.faults import Detection, EndStreams
from sidecar.embedded.in_force import Faults
from sidecar.embedded.pushes import Pushes


class Detector:
    """Sweeps the connections of one registry while it runs."""

    __slots__ = ("_connections", "_faults", "_pushes", "_timer")

    def __init__(self, connections: Connections, pushes: Pushes, faults: Faults) -> None:
        self._connections = connections
        self._pushes = pushes
        self._faults = faults
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        interval = self._faults.now(Detection).sweep_s
        self._timer = asyncio.get_running_loop().call_later(interval, self._sweep)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def ask(self, connection: Connection) -> None:
        """Sends ClientDetection; without an answer in time the connection is evicted."""
        loop = asyncio.get_running_loop()
        request_id = self._pushes.next_id()
        connection.detecting = True
        timer = loop.call_later(self._faults.now(Detection).answer_s, self._evict, connection)
        connection.unacked[request_id] = Unacked(loop.time(), None, timer)
        connection.send(messages.client_detection(request_id))

    def answered(self, connection: Connection) -> None:
        """The client lives; evicted all the same under the fault."""
        connection.detecting = False
        if self._faults.now(Detection).evict_anyway:
            connection.end(EndStreams())

    def _sweep(self) -> None:
        now, settings = asyncio.get_running_loop().time(), self._faults.now(Detection)
        for connection in self._connections if settings.enabled else ():
            if not connection.detecting and now - connection.last_active >= settings.idle_s:
                self.ask(connection)
        self.start()

    def _evict(self, connection: Connection) -> None:
        connection.end(EndStreams())
