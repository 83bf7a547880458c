"""TLS of real Nacos servers, whose ports have it switched on apart: by `rpc.tls` for gRPC, by `server.ssl` for HTTP."""

import contextlib
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sidecar.cluster.instance import Push
from sidecar.cluster.policy import Discovery
from sidecar.cluster.stats import ProcessStats
from sidecar.discovery.credentials import Secret, User
from sidecar.discovery.options import NacosOptions, Tls
from sidecar.discovery.source import Connected, Disconnected, Identified
from sidecar.discovery.supervisor import NacosSource
from sidecar.embedded.tls import ServerTls
from tests.support.certificates import Authority
from tests.support.java import TOOLS
from tests.support.nacos_server import NacosServer
from tests.support.until import PATIENCE
from tests.support.watched_source import WatchedSource, watched

pytestmark = [pytest.mark.needs(*TOOLS), pytest.mark.one_loop]

SERVICE = "tls-story"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@contextlib.asynccontextmanager
async def reading(server: NacosServer, tls: Tls, user: User | None = None) -> AsyncIterator[WatchedSource]:
    options = NacosOptions(
        server_addresses=(server.address,), tls=tls, user=user, open_timeout=PATIENCE, request_timeout=PATIENCE
    )
    source = NacosSource(options, {"story": Discovery(service=SERVICE)}, rng=random.Random(1), stats=ProcessStats())
    async with watched(source) as found:
        yield found


async def serves(source: WatchedSource, server: NacosServer, *, port: int, token: str = "") -> bool:
    """A list, the version, and a push of what is registered then."""
    await source.next(Push)
    await source.until(lambda: bool(source.all(Connected)[0].version or source.all(Identified)))
    instance = {"serviceName": SERVICE, "ip": "127.0.0.1", "port": str(port), "ephemeral": "false"}
    assert server.call("POST", "/v1/ns/instance", instance, token)[0] == 200
    await source.until(lambda: port in source.ports()[-1])
    return source.all(Disconnected) == []


async def test_a_server_with_tls_for_grpc_alone_lets_us_log_in(authority: Authority) -> None:
    """Nacos's own switch leaves HTTP plain (2.3.2, with users); an authority that we do not know is still refused."""
    theirs = authority.issue("127.0.0.1")
    tls = ServerTls(theirs.cert_file, theirs.key_file, http=False)
    async with NacosServer("2.3.2", token_ttl=600, tls=tls) as server:
        token = await server.create_admin("a-secret")
        user = User("nacos", Secret("a-secret"))
        async with reading(server, Tls(ca_file=authority.file, http=False), user) as source:
            assert await serves(source, server, port=1, token=token)
        async with reading(server, Tls(http=False), user) as source:
            await source.next(Disconnected)
            assert source.ports() == []


async def test_a_server_that_wants_to_know_its_clients_knows_us(authority: Authority) -> None:
    """3.1.0 with TLS on both ports: our certificate is shown, and without one there is no list."""
    theirs, ours = authority.issue("127.0.0.1"), authority.issue("sidecar")
    async with NacosServer("3.1.0", tls=ServerTls(theirs.cert_file, theirs.key_file, authority.file)) as server:
        async with reading(server, Tls(authority.file, ours.cert_file, ours.key_file)) as source:
            assert await serves(source, server, port=1)
        async with reading(server, Tls(ca_file=authority.file)) as source:
            await source.next(Disconnected)
            assert source.ports() == []
