"""TLS to the embedded registry, HTTP and gRPC alike: whoever is let in by one is let in by the other."""

import asyncio
import random
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sidecar.cluster.instance import Push
from sidecar.cluster.policy import Discovery
from sidecar.cluster.stats import ProcessStats
from sidecar.discovery.credentials import Secret, User
from sidecar.discovery.http import Http
from sidecar.discovery.options import NacosOptions, Server, Tls
from sidecar.discovery.session import RequestError, Unanswered
from sidecar.discovery.source import Connected, Disconnected, Identified
from sidecar.discovery.supervisor import NacosSource
from sidecar.discovery.tls import context, trust
from sidecar.embedded.faults import Auth
from sidecar.embedded.registry import EmbeddedRegistry
from sidecar.embedded.tls import ServerTls
from tests.support.certificates import Authority
from tests.support.watched_source import WatchedSource, watched


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    return Authority(folder)


@asynccontextmanager
async def behind(
    authority: Authority, *names: str, clients: Authority | None = None, http: bool = True
) -> AsyncIterator[EmbeddedRegistry]:
    """A registry with a certificate for these names; with `clients` it lets in only theirs."""
    own = authority.issue(*names)
    tls = ServerTls(own.cert_file, own.key_file, clients.file if clients else None, http=http)
    async with EmbeddedRegistry(push_delay_s=0.0, tls=tls) as registry:
        registry.register("orders", "10.0.0.1", 80)
        yield registry


@asynccontextmanager
async def reading(registry: EmbeddedRegistry, tls: Tls | None) -> AsyncIterator[WatchedSource]:
    options = NacosOptions(server_addresses=(registry.address,), tls=tls, user=User("nacos", Secret("nacos")))
    source = NacosSource(options, {"orders": Discovery()}, rng=random.Random(1), stats=ProcessStats())
    async with watched(source) as found:
        yield found


async def served(registry: EmbeddedRegistry, tls: Tls) -> bool:
    """A list over gRPC with a token that came over HTTP, and a version."""
    await registry.apply(Auth())
    async with reading(registry, tls) as source:
        await source.next(Push)
        await source.until(lambda: bool(source.all(Connected)[0].version or source.all(Identified)))
        return source.ports()[0] == [80]


async def test_an_authority_of_ones_own_is_enough(authority: Authority) -> None:
    """One-way TLS: login, version, handshake, list and push."""
    async with behind(authority, "127.0.0.1") as registry:
        assert await served(registry, Tls(ca_file=authority.file))


async def test_a_client_certificate_is_shown_where_it_is_wanted(authority: Authority, folder: Path) -> None:
    """Without one neither side lets us in."""
    ours = authority.issue("sidecar")
    async with behind(authority, "127.0.0.1", clients=authority) as registry:
        assert await served(registry, Tls(authority.file, ours.cert_file, ours.key_file))
        async with reading(registry, Tls(ca_file=authority.file)) as source:
            await source.next(Disconnected)
            assert source.ports() == []


async def test_a_server_may_speak_tls_on_the_grpc_port_alone(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    """As `rpc.tls` of a real one does it: with `http: false` we log in plainly; without, the log names that key."""
    async with behind(authority, "127.0.0.1", http=False) as registry:
        assert await served(registry, Tls(ca_file=authority.file, http=False))
        assert caplog.messages == []
        async with reading(registry, Tls(ca_file=authority.file)) as source:
            await source.next(Connected)
            assert source.ports() == []
        (why,) = [line for line in caplog.messages if "not logged in" in line]
        assert "set nacos.tls.http to false" in why


async def test_another_name_is_checked_in_place_of_the_host(authority: Authority) -> None:
    """A certificate of names that is dialled by its address."""
    async with behind(authority, "nacos.internal") as registry:
        assert await served(registry, Tls(ca_file=authority.file, server_name="nacos.internal"))


async def test_a_name_is_checked_whose_address_was_dialled(authority: Authority) -> None:
    """The address that stands for it is on no certificate."""
    async with behind(authority, "localhost") as registry:
        registry.host = "localhost"
        assert await served(registry, Tls(ca_file=authority.file))
        assert await served(registry, Tls(verify=False))


@pytest.mark.parametrize("names", [["127.0.0.1"], ["nacos.internal"], ["*.nacos.internal", "x.org"]])
async def test_an_unchecked_certificate_may_be_of_anyone_for_anything(authority: Authority, names: list[str]) -> None:
    """`verify: false`, over HTTP and gRPC."""
    async with behind(authority, *names) as registry:
        assert await served(registry, Tls(verify=False))


async def test_unchecked_goes_with_a_client_certificate(authority: Authority) -> None:
    """The server still wants to know us."""
    ours = authority.issue("sidecar")
    async with behind(authority, "nacos.internal", clients=authority) as registry:
        assert await served(registry, Tls(None, ours.cert_file, ours.key_file, verify=False))


@pytest.mark.parametrize(
    ("name", "why"), [("127.0.0.1", "CERTIFICATE_VERIFY_FAILED"), ("elsewhere", "Hostname Verification Check failed")]
)
async def test_a_certificate_that_will_not_do_is_told(
    authority: Authority, folder: Path, caplog: pytest.LogCaptureFixture, name: str, why: str
) -> None:
    """Of an unknown authority, or for another name: no list, and the reason in the event log, once."""
    trusted = authority if name == "elsewhere" else Authority(folder, "other")
    async with behind(authority, name) as registry, reading(registry, Tls(ca_file=trusted.file)) as source:
        await source.next(Disconnected)
        await asyncio.sleep(0.5)
        assert source.ports() == []
    (reason,) = [line for line in caplog.messages if line.startswith(f"registry {registry.address}: UNAVAILABLE")]
    assert why in reason


async def test_plain_against_tls_and_tls_against_plain_are_failures_like_others(authority: Authority) -> None:
    """Each ends in a failed open, never in a list."""
    async with behind(authority, "127.0.0.1") as registry, reading(registry, None) as source:
        await source.next(Disconnected)
        assert source.ports() == []
    async with EmbeddedRegistry() as registry, reading(registry, Tls(verify=False)) as source:
        await source.next(Disconnected)
        assert source.ports() == []


async def test_files_that_will_not_do_are_named(folder: Path, authority: Authority) -> None:
    """A missing one, and one that is no certificate."""
    missing, odd = folder / "none.pem", folder / "odd.pem"
    odd.write_text("odd")
    for tls in (Tls(ca_file=missing), Tls(ca_file=odd), Tls(cert_file=odd, key_file=odd)):
        with pytest.raises(Unanswered, match=r"tls: .*(none|odd)\.pem"):
            context(tls)
    for tls in (Tls(ca_file=missing), Tls(ca_file=authority.file, cert_file=missing, key_file=missing)):
        with pytest.raises(Unanswered, match=r"tls: .*none\.pem: No such file"):
            await trust(tls, "127.0.0.1", 1)
    with pytest.raises(RequestError):
        async with Http(Server("127.0.0.1", 1, 2), NacosOptions(tls=Tls(ca_file=missing))):
            pass


@pytest.mark.one_loop
async def test_without_a_file_the_system_is_trusted() -> None:
    """Not the store that gRPC brings along."""
    found = await trust(Tls(), "127.0.0.1", 1)
    system = ssl.get_default_verify_paths().cafile
    assert found.roots == (Path(system).read_bytes() if system else None)  # noqa: ASYNC240 - a test may wait
