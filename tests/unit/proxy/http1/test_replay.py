"""What of a body is kept for another attempt, and what that costs."""

from sidecar.proxy.http1.replay import Replay
from sidecar.proxy.runtime import REPLAY_MEMORY, Runtime


async def test_unsent_bytes_are_kept_whatever_their_size() -> None:
    """They have been nowhere yet; reading is paused meanwhile."""
    replay = Replay(Runtime(), limit=4)
    replay.keep(b"longer than four")
    assert replay.bytes() == b"longer than four"
    assert replay.whole


async def test_sent_bytes_within_the_limit_stay_whole() -> None:
    """Piece by piece, and joined for the next attempt."""
    replay = Replay(Runtime(), limit=8)
    for piece in (b"abc", b"def"):
        replay.keep(piece)
        replay.sent()
    assert replay.whole
    assert replay.bytes() == b"abcdef"


async def test_beyond_the_limit_the_memory_is_given_back_for_good() -> None:
    """One byte too many ends it; later bytes are not gathered."""
    process = Runtime()
    replay = Replay(process, limit=4)
    replay.keep(b"12345")
    assert process.replay_bytes == 5
    replay.sent()
    assert not replay.whole
    replay.keep(b"more")
    assert process.replay_bytes == 0
    assert repr(replay) == "<Replay 0/4 bytes, not whole>"


async def test_the_process_has_a_bound_of_its_own() -> None:
    """With the memory of the process used up, a new request is not replayable once it is sent."""
    process = Runtime()
    process.replay_bytes = REPLAY_MEMORY
    replay = Replay(process, limit=1024)
    replay.keep(b"x")
    replay.sent()
    assert not replay.whole


async def test_the_end_of_a_request_gives_its_memory_back() -> None:
    """Once, however often it is told."""
    process = Runtime()
    replay = Replay(process, limit=1024)
    replay.keep(b"abc")
    replay.drop()
    replay.drop()
    assert process.replay_bytes == 0
