"""Names of services."""

import pytest

from sidecar.facade.names import Named, address_of, listed


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (("orders",), ("public", "DEFAULT_GROUP", "orders")),
        (("orders", "", ""), ("public", "DEFAULT_GROUP", "orders")),
        (("G@@orders", "OTHER", "test"), ("test", "G", "orders")),
        (("orders", "G", "public"), ("public", "G", "orders")),
    ],
)
def test_every_spelling_is_one_name(given: tuple[str, ...], meant: tuple[str, str, str]) -> None:
    """The group may stand in the name, and what is missing is the default."""
    assert Named.of(*given) == meant


def test_a_name_is_written_with_its_group() -> None:
    """As 1.x has it."""
    assert Named.of("orders", "G").grouped == "G@@orders"


@pytest.mark.parametrize(("text", "clusters"), [("", set()), ("A", {"A"}), ("A,B,", {"A", "B"}), (None, set())])
def test_clusters_are_a_comma_list(text: object, clusters: set[str]) -> None:
    """No name among them is empty."""
    assert listed(text) == clusters


def test_an_address_has_its_ipv6_in_brackets() -> None:
    """As endpoints are called."""
    assert [address_of("10.0.0.1", 80), address_of("::1", 80)] == ["10.0.0.1:80", "[::1]:80"]
