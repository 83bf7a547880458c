"""When a stopping sidecar may go. Pure.

**Why:** the app is stopped beside us and may call out until its very end; a proxy that stops accepting, or says
`Connection: close`, makes those last calls fail.

**Trip conditions:** SIGTERM, SIGINT or POST /quitquitquit begin it; POST /drain only lowers readiness.

**End:** no app connection has been open, idle ones included, for `quiet`; or `timeout` has passed.
"""


class Drain:
    """The clock of one drain. Times are seconds of the loop's clock."""

    __slots__ = ("_alone_since", "_met", "quiet", "started", "timeout")

    def __init__(self, now: float, *, timeout: float, quiet: float) -> None:
        self.started = now
        self.timeout = timeout
        self.quiet = quiet
        self._alone_since: float | None = None
        self._met = 0

    def over(self, now: float, connections: int, met: int) -> bool:
        """Whether to go now; asked again and again with the number of open app connections, and of all there ever were.

        An app that makes one for each call has none open at most of these moments, and is not gone.
        """
        if connections:
            self._alone_since = None
        elif self._alone_since is None or met != self._met:
            self._alone_since = now
        self._met = met
        quiet = self._alone_since is not None and now - self._alone_since >= self.quiet
        return quiet or now - self.started >= self.timeout
