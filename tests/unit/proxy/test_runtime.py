"""What every part of the data path is handed."""

import re

from sidecar.proxy.runtime import Runtime

UUID4 = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


async def test_request_ids_are_uuids_and_never_the_same() -> None:
    """Across the batches that share their tail, too."""
    runtime = Runtime()
    ids = {runtime.request_id() for _ in range(70_000)}
    assert len(ids) == 70_000
    assert all(UUID4.fullmatch(one) for one in ids)


async def test_the_date_is_made_once_a_second() -> None:
    """IMF-fixdate, as RFC 9110 wants it."""
    wall = [1769853600.0]
    runtime = Runtime(wall=lambda: wall[0])
    first = runtime.date()
    assert first == b"Sat, 31 Jan 2026 10:00:00 GMT"
    assert runtime.date() is first
    wall[0] += 1
    assert runtime.date() == b"Sat, 31 Jan 2026 10:00:01 GMT"


async def test_without_sinks_nobody_wants_anything() -> None:
    """A test, or a process without logs, needs no stubs."""
    runtime = Runtime()
    runtime.emit(())
    assert not runtime.wants_record(notable=True)
