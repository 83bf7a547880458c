"""The words between supervisor and client."""

from sidecar.cluster.instance import Instance
from sidecar.discovery.session import DISOWNING, STARTING, ErrorAnswer, Listing


def listing(*instances: Instance) -> Listing:
    return Listing(instances, protect=False)


def test_lists_in_another_order_name_the_same() -> None:
    """The registry promises no order, so comparing lists must not see one; nor the flag that came with them."""
    a, b = Instance("10.0.0.1", 80), Instance("10.0.0.2", 80)
    assert listing(a, b).names_the_same(Listing((b, a), protect=True))
    assert not listing(a, b).names_the_same(listing(a))


def test_instances_that_differ_in_metadata_alone_are_two() -> None:
    """Metadata is no part of the hash, but of equality."""
    plain, labelled = Instance("10.0.0.1", 80), Instance("10.0.0.1", 80, metadata={"v": "2"})
    assert not listing(plain).names_the_same(listing(labelled))


def test_an_error_answer_reads_like_the_registry_said_it() -> None:
    """Code and text are both in the message; starting is one of the codes that disown the connection."""
    assert str(ErrorAnswer(301, "unregistered")) == "error 301: unregistered"
    assert STARTING in DISOWNING
