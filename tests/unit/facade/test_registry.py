"""The order of the real servers."""

from tests.support.facade_stage import registry_of


def test_a_server_that_fails_goes_to_the_end() -> None:
    """And one that fails while another comes first changes nothing."""
    registry = registry_of("a:1", "b:1", "c:1")
    first, second, third = registry.in_turn()
    registry.failed(first)
    registry.failed(first)
    assert registry.in_turn() == (second, third, first)


def test_a_server_that_takes_clients_comes_first() -> None:
    """Whatever was tried before it."""
    registry = registry_of("a:1", "b:1", "c:1")
    last = registry.in_turn()[-1]
    registry.took(last)
    assert registry.in_turn()[0] is last


def test_a_recommended_server_comes_first() -> None:
    """If it is one of ours; a stranger moves nobody."""
    registry = registry_of("a:1", "b:1", "c:1")
    last = registry.in_turn()[-1]
    registry.prefer(last.host, "1")
    assert registry.in_turn()[0] is last
    before = registry.in_turn()
    registry.prefer("d", "1")
    assert registry.in_turn() == before
