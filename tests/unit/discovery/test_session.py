"""The words between supervisor and client."""

from sidecar.cluster.instance import Instance
from sidecar.discovery.session import DISOWNING, STARTING, ErrorAnswer, Listing


def test_a_listing_is_equal_whatever_it_cost_to_compare() -> None:
    """The set of members is derived and takes no part in equality."""
    one = Instance("10.0.0.1", 80)
    assert Listing((one,), protect=False) == Listing((one,), protect=False)
    assert Listing((one,), protect=False) != Listing((one,), protect=True)


def test_instances_that_differ_in_metadata_alone_are_two_members() -> None:
    """Metadata is no part of the hash, but of equality."""
    plain, labelled = Instance("10.0.0.1", 80), Instance("10.0.0.1", 80, metadata={"v": "2"})
    assert Listing((plain,), protect=False).members != Listing((labelled,), protect=False).members


def test_an_error_answer_reads_like_the_registry_said_it() -> None:
    """Code and text are both in the message; starting is one of the codes that disown the connection."""
    assert str(ErrorAnswer(301, "unregistered")) == "error 301: unregistered"
    assert STARTING in DISOWNING
