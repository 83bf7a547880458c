"""A clock that can be stopped: holds do not age while the registry cannot be asked."""


class StoppableClock:
    """Seconds for which it has been running."""

    __slots__ = ("_elapsed", "_since")

    def __init__(self, now: float) -> None:
        self._elapsed = 0.0
        self._since: float | None = now

    @property
    def running(self) -> bool:
        """Whether time counts at present."""
        return self._since is not None

    def start(self, now: float) -> None:
        """Time counts from now on."""
        if self._since is None:
            self._since = now

    def stop(self, now: float) -> None:
        """Time counts no longer."""
        self._elapsed, self._since = self.read(now), None

    def read(self, now: float) -> float:
        """All seconds counted so far."""
        return self._elapsed + (now - self._since if self._since is not None else 0.0)
