"""Plain integers that the hot path adds to and telemetry reads at scrape: no metrics library in between."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sized

DURATION_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
CONNECT_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
LAG_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)


CLEAN = "-"
"""The flags of a request that has none."""


class Histogram:
    """Counts per bucket (not cumulative; the last one is +Inf) and the sum, in the unit of the bounds."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Adds one value; costs a bisect and two additions."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class ServiceStats:
    """All counters of one service. The proxy and the cluster add, `telemetry` reads.

    Keys of the counters: `tcp_connections` flags, `retries` reason, `retries_denied` reason, `waits` result, `rescued`
    by, `probes` result, `pushes` result, `ejections` reason, `ejections_suppressed` reason, `holds_ended` by. The words
    are those of the metric catalogue.
    """

    __slots__ = (
        "answer_time",
        "answered",
        "app_connections",
        "by_address",
        "bytes_to_app",
        "bytes_to_instance",
        "clean",
        "connect_duration",
        "ejections",
        "ejections_suppressed",
        "facade_lists",
        "failed",
        "flagged",
        "holds_ended",
        "instance_connections",
        "pools",
        "probes",
        "pushes",
        "quarantines",
        "request_duration",
        "requests_in_flight",
        "rescued",
        "retries",
        "retries_denied",
        "tcp_connections",
        "waiting",
        "waits",
    )

    def __init__(self) -> None:
        self.app_connections = 0
        self.instance_connections = 0
        self.pools: list[Sized] = []
        """Where connections to instances wait."""
        self.requests_in_flight = 0
        self.waiting = 0
        self.bytes_to_instance = 0
        self.bytes_to_app = 0
        self.quarantines = 0
        self.by_address = 0
        """Requests and tcp connections that named it by nothing but an `ip:port`."""
        self.clean: dict[int, int] = {}
        """Finished requests without a flag, by code; a plain dict, for nearly every request adds to it."""
        self.flagged: Counter[tuple[int, str]] = Counter()
        """All other ones, by (code, flags)."""
        self.answered = 0
        """Attempts with a complete answer."""
        self.failed: Counter[str] = Counter()
        """All other ones, by outcome."""
        self.tcp_connections: Counter[str] = Counter()
        self.retries: Counter[str] = Counter()
        self.retries_denied: Counter[str] = Counter()
        self.waits: Counter[str] = Counter()
        self.rescued: Counter[str] = Counter()
        self.probes: Counter[str] = Counter()
        self.pushes: Counter[str] = Counter()
        self.ejections: Counter[str] = Counter()
        self.ejections_suppressed: Counter[str] = Counter()
        self.holds_ended: Counter[str] = Counter()
        self.facade_lists: Counter[str] = Counter()
        """Lists of it that the app got through the façade, by what became of them."""
        self.request_duration = Histogram(DURATION_BUCKETS)
        self.answer_time = Histogram(DURATION_BUCKETS)
        """Seconds from the end of a request to the head of an instance's answer: what our own time-outs end is not in."""
        self.connect_duration = Histogram(CONNECT_BUCKETS)

    @property
    def idle_connections(self) -> int:
        """Pooled connections to instances."""
        return sum(map(len, self.pools))

    @property
    def requests(self) -> Counter[tuple[int, str]]:
        """Finished requests, by (code, flags)."""
        return Counter({(code, CLEAN): count for code, count in self.clean.items()}) + self.flagged

    @property
    def attempts(self) -> Counter[str]:
        """Attempts that are over, by outcome."""
        return Counter({"ok": self.answered}) + self.failed


class ProcessStats:
    """Counters that belong to no service."""

    __slots__ = (
        "access_log_dropped",
        "facade_connections",
        "facade_requests",
        "loop_lag",
        "queries",
        "reconnects",
        "reloads",
        "snapshot_write_errors",
        "tasks_cancelled",
        "unrouted",
    )

    def __init__(self) -> None:
        self.reconnects: Counter[str] = Counter()
        self.queries: Counter[str] = Counter()
        self.tasks_cancelled = 0
        self.snapshot_write_errors = 0
        self.access_log_dropped = 0
        self.facade_connections: Counter[str] = Counter()
        """Open connections of the app to the façade, by protocol."""
        self.facade_requests: Counter[tuple[str, str]] = Counter()
        """(protocol, result) of what the app asked the façade."""
        self.reloads: Counter[str] = Counter()
        self.loop_lag = Histogram(LAG_BUCKETS)
        self.unrouted = ServiceStats()
        """What belongs to no service, label `-`: the app's connections to the shared listener, and the requests there that
        are for none."""
