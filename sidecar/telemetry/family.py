"""One metric as data: a row of the catalogue."""

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sidecar.cluster.stats import Histogram


class Kind(enum.Enum):
    """Prometheus types."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


Reading = int | float | Histogram | Mapping[Any, int] | None
"""A number; one for each word of the label, or each tuple of values of the labels; None: absent."""

Subject = TypeVar("Subject")


@dataclass(frozen=True, slots=True, eq=False)
class Family(Generic[Subject]):
    """One metric. `labels` leaves out those of the subject; `known` are the words of the only label."""

    name: str
    kind: Kind
    help: str
    read: Callable[[Subject], Reading]
    labels: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
