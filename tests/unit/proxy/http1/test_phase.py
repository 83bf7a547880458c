"""Which phases let an instance speak, and which have an attempt to close."""

from sidecar.proxy.http1.phase import HEARING, OPEN, Phase


def test_an_attempt_is_under_way_from_the_dial_to_the_last_byte() -> None:
    """While nobody was chosen yet, and once it is over, there is nothing to close."""
    assert set(Phase) - OPEN == {Phase.CHOOSING, Phase.WAITING, Phase.PAUSING, Phase.DONE}


def test_an_instance_may_speak_once_it_was_asked() -> None:
    """All of an open attempt but its dial."""
    assert {Phase.CONNECTING} == OPEN - HEARING
