"""How much there is: the services, their instances, and which numbers these have."""

from dataclasses import dataclass

BIG = "catalogue"
"""The service of thousands."""

BUSY = "order-service"
"""The one that is called."""


@dataclass(frozen=True, slots=True)
class Size:
    """At its defaults what was promised (issue 4): 200 services, 10 000 instances in all, 5 000 of one."""

    many: int = 5000
    """Instances of `BIG`, numbered from 0,"""
    new: int = 500
    """of which so many are replaced,"""
    few: int = 100
    """and so many are left when it shrinks."""
    services: int = 198
    """Further ones,"""
    each: int = 25
    """with so many instances each."""
    called: int = 50
    """Instances of `BUSY`."""

    @property
    def small(self) -> list[str]:
        """Names of the further services."""
        return [f"service-{number:03}" for number in range(self.services)]

    def first_of(self, small: int) -> int:
        """The number of the first instance of a further service: those of `BIG` stand before."""
        return 2 * self.many + small * self.each

    @property
    def first_called(self) -> int:
        """The number of the first instance of `BUSY`."""
        return self.first_of(self.services)

    @property
    def without_big(self) -> int:
        """Instances of all services but `BIG`."""
        return self.called + self.services * self.each

    @property
    def all(self) -> int:
        """Instances of all services."""
        return self.without_big + self.many
