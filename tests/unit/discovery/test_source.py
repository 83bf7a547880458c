"""The seam."""

import random

from sidecar.cluster.policy import Discovery
from sidecar.cluster.stats import ProcessStats
from sidecar.discovery.options import NacosOptions
from sidecar.discovery.questions import Enquiry
from sidecar.discovery.source import EPOCHS, SEQUENCES, InstanceSource
from sidecar.discovery.static import StaticSource
from sidecar.discovery.supervisor import NacosSource


async def test_both_sources_stand_behind_the_seam() -> None:
    """The application needs to know no more than the protocol (mypy judges the assignment)."""
    sources: list[InstanceSource] = [
        StaticSource({"orders": ["10.0.0.1:80"]}),
        NacosSource(NacosOptions(), {"orders": Discovery()}, rng=random.Random(1), stats=ProcessStats()),
    ]
    for source in sources:
        source.doubt(["orders"])
        source.enquire({"orders": Enquiry()})
        await source.close()
        assert [update async for update in source.updates()] == []


def test_numbers_run_on_over_all_sources() -> None:
    """A source that replaces another at a reload outranks it."""
    assert next(EPOCHS) < next(EPOCHS)
    assert next(SEQUENCES) < next(SEQUENCES)
