"""The provider of the trials: a graceful stop of it is one."""

import asyncio
from pathlib import Path

import pytest

from sidecar.tasks import spawn
from tests.support.http_client import request
from tests.support.plain_provider import plain_providers

pytestmark = pytest.mark.one_loop

_CALL = b"POST / HTTP/1.1\r\nHost: orders\r\nx-request-id: c%d\r\nContent-Length: 0\r\n\r\n"


async def test_calls_that_got_through_before_it_stops_are_finished(tmp_path: Path) -> None:
    """Also those that its kernel alone had accepted; whoever comes later is refused."""
    async with plain_providers(tmp_path, 1) as (provider,):
        provider.freeze()
        app = [await asyncio.open_connection("127.0.0.1", provider.port) for _ in range(20)]
        for number, (_, writer) in enumerate(app):
            writer.write(_CALL % number)
        stopping = spawn(provider.stop(), name="stop")
        await asyncio.sleep(0)
        provider.thaw()
        answers = await asyncio.gather(*(reader.read() for reader, _ in app), return_exceptions=True)
        await stopping
        assert [str(answer)[2:14] for answer in answers] == ["HTTP/1.1 200"] * 20
        assert sorted(provider.executed()) == sorted(f"POST c{number}" for number in range(20))
        with pytest.raises(ConnectionRefusedError):
            await request(provider.port)
        for _, writer in app:
            writer.close()
