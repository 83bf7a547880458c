"""The embedded registry behind certificates."""

import ssl
from pathlib import Path

import aiohttp
import pytest

from sidecar.embedded.registry import EmbeddedRegistry
from sidecar.embedded.tls import ServerTls
from tests.support.certificates import Authority

STATE = "/nacos/v3/admin/core/state"


@pytest.mark.parametrize("mutual", [False, True])
async def test_only_whom_it_knows_is_let_in(tmp_path: Path, mutual: bool) -> None:  # noqa: FBT001 - a column
    """Over HTTPS: with the authority's trust, and a certificate of it where one is wanted."""
    authority = Authority(tmp_path)
    own, client = authority.issue("127.0.0.1"), authority.issue("client")
    tls = ServerTls(own.cert_file, own.key_file, authority.file if mutual else None)
    trusting = ssl.create_default_context(cafile=authority.file)
    async with EmbeddedRegistry(tls=tls) as registry, aiohttp.ClientSession(f"https://{registry.address}") as session:
        if mutual:
            with pytest.raises(aiohttp.ClientError):
                await session.get(STATE, ssl=ssl.create_default_context(cafile=authority.file))
            trusting.load_cert_chain(client.cert_file, client.key_file)
        async with session.get(STATE, ssl=trusting) as answer:
            assert answer.status == 200
