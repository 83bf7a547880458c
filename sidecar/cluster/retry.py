"""What may be tried again, and how much of it."""

from sidecar.cluster.policy import Budget
from sidecar.cluster.slots import Slots


class RetryBudget:
    """Retries that may have reached an instance: a share of the requests of the last ten seconds, plus a floor."""

    __slots__ = ("_policy", "_requests", "_retries")

    def __init__(self, policy: Budget) -> None:
        self._policy = policy
        self._requests = Slots()
        self._retries = Slots()

    def deposit(self, now: float) -> None:
        """Counts one request."""
        self._requests.add(now)

    def withdraw(self, now: float) -> bool:
        """Takes one retry out of the budget, if there is one left."""
        allowed = self._requests.total(now) * self._policy.percent / 100 + self._policy.min_per_second * 10
        if self._retries.total(now) + 1 > allowed:
            return False
        self._retries.add(now)
        return True
