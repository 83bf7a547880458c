"""Nodes that are asked about doubted lists: small HTTP servers that answer what the test says, at the test's time."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from sidecar.cluster.instance import View
from sidecar.discovery.access import Access
from sidecar.discovery.credentials import Secret, User
from sidecar.discovery.enquirer import CLOSED_FOR, Enquirer
from sidecar.discovery.options import NacosOptions, Server, Tls
from sidecar.discovery.questions import Enquiry
from sidecar.discovery.session import Listing, ServiceKey
from tests.support.clusters import Even
from tests.support.odd_server import OddServer, answer, odd_server

pytestmark = pytest.mark.virtual_time

ORDERS = ServiceKey("orders", "G")
STOCK = ServiceKey("stock", "G")
HERE = {ORDERS: Enquiry(frozenset({"DEFAULT"}))}
ELSEWHERE = {ORDERS: Enquiry(frozenset({"DEFAULT"}), elsewhere=True)}

CLIENTS, ADMINISTRATORS = "/nacos/v1/ns/instance/list", "/nacos/v3/admin/ns/instance/list"


def hosts(*ports: int, enabled: bool = True) -> str:
    listed = (f'{{"ip": "10.0.0.1", "port": {port}, "enabled": {str(enabled).lower()}}}' for port in ports)
    return f"[{', '.join(listed)}]"


def clients(*ports: int) -> bytes:
    return answer("200 OK", f'{{"hosts": {hosts(*ports)}}}')


def administrators(*ports: int, enabled: bool = True) -> bytes:
    return answer("200 OK", f'{{"code": 0, "data": {hosts(*ports, enabled=enabled)}}}')


@dataclass(frozen=True)
class Stated:
    key: ServiceKey
    view: View
    server: Server
    ports: list[int]
    after: float


class Play:
    """An enquirer between odd servers: the session is at the first, the others are tried in their order."""

    def __init__(self, *odds: OddServer, **options: object) -> None:
        self.odds = odds
        self.loop = asyncio.get_running_loop()
        self.began = self.loop.time()
        self.stated_so_far: list[Stated] = []
        self.silent: list[tuple[ServiceKey, list[int]]] = []
        """Whom nobody answered about, and the places of the servers that were asked."""
        addresses = tuple(str(odd.server) for odd in odds)
        self.options = NacosOptions(server_addresses=addresses, grpc_port_offset=0, **options)  # type: ignore[arg-type]
        self.access = Access(self.options, rng=Even())
        self.enquirer = Enquirer(self.options, self.access, self, rng=Even())
        self.at_home()

    def at_home(self) -> None:
        self.enquirer.session_at(self.options.servers[0])

    def stated(self, key: ServiceKey, view: View, server: Server, listing: Listing, asked_at: float) -> None:
        assert asked_at <= self.loop.time()
        ports = [instance.port for instance in listing.instances]
        self.stated_so_far.append(Stated(key, view, server, ports, asked_at - self.began))

    def unanswered(self, key: ServiceKey, servers: Sequence[Server], asked_at: float) -> None:
        assert asked_at <= self.loop.time()
        ports = [odd.server.port for odd in self.odds]
        self.silent.append((key, sorted(ports.index(server.port) for server in servers)))

    def of(self, view: View) -> list[Stated]:
        return [one for one in self.stated_so_far if one.view is view]

    def answering(self, view: View) -> list[int]:
        """The places of the servers whose answers were heard, in order."""
        ports = [odd.server.port for odd in self.odds]
        return [ports.index(one.server.port) for one in self.of(view)]


def asked(odd: OddServer, path: str) -> int:
    """How often the server was asked for a path."""
    return sum(head.split()[1].startswith(path) for head in odd.seen)


@contextlib.asynccontextmanager
async def play(*answers: Mapping[str, bytes | None], **options: object) -> AsyncIterator[Play]:
    async with contextlib.AsyncExitStack() as stack:
        odds = [await stack.enter_async_context(odd_server(one)) for one in answers]
        found = Play(*odds, **options)
        try:
            yield found
        finally:
            await found.enquirer.close()
            await found.access.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}


BOTH = {CLIENTS: clients(1, 2), ADMINISTRATORS: administrators(3, enabled=False)}


async def test_the_own_node_is_asked_for_what_is_disabled_and_another_for_what_it_lists() -> None:
    """The first at once, the second after two seconds; both again about every second, and nobody else."""
    async with play(BOTH, BOTH) as found:
        found.enquirer.about(ELSEWHERE)
        await asyncio.sleep(6.0)
        assert set(found.answering(View.EVERYTHING)) == {0}
        assert set(found.answering(View.OFFERED)) == {1}
        everything, offered = found.of(View.EVERYTHING), found.of(View.OFFERED)
        assert everything[0].after < 1.0
        assert 2.0 <= offered[0].after < 3.0
        assert 5 <= len(everything) <= 7
        assert 3 <= len(offered) <= 5
        assert (everything[0].ports, offered[0].ports) == ([3], [1, 2])


async def test_a_single_node_is_asked_for_what_is_disabled() -> None:
    """Nobody else is there to be asked for anything."""
    async with play(BOTH) as found:
        found.enquirer.about(ELSEWHERE)
        await asyncio.sleep(5.0)
        assert len(found.of(View.EVERYTHING)) >= 4
        assert asked(found.odds[0], CLIENTS) == 0


async def test_no_other_node_is_asked_where_that_is_not_wanted() -> None:
    """`second_opinion: false`, and a node of its own that says nothing."""
    async with play({}, BOTH) as found:
        found.enquirer.about(HERE)
        await asyncio.sleep(5.0)
        assert found.odds[1].seen == []


async def test_a_node_that_does_not_answer_is_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    """The next one is heard, first of all from then on; silence is complained of once and never taken for a list."""
    async with play(BOTH, {CLIENTS: None}, {CLIENTS: answer("500 Odd")}, BOTH, request_timeout=0.3) as found:
        found.enquirer.about(ELSEWHERE)
        await asyncio.sleep(10.0)
        assert set(found.answering(View.OFFERED)) == {3}
        assert len(found.of(View.OFFERED)) >= 5
        assert asked(found.odds[1], CLIENTS) == asked(found.odds[2], CLIENTS) == 1
        assert found.silent == []
    complaints = [record.getMessage() for record in caplog.records]
    assert len(complaints) == 2
    assert all("gives no second opinion on orders" in text for text in complaints)


async def test_a_node_that_gives_no_opinion_is_complained_of_once_though_it_answers_other_questions(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It shows administrators its list all the while."""
    closed, odd = {ADMINISTRATORS: answer("403 No")}, {ADMINISTRATORS: administrators(3), CLIENTS: answer("500 Odd")}
    async with play(closed, odd) as found:
        found.enquirer.about(ELSEWHERE)
        await asyncio.sleep(10.0)
        assert len(found.of(View.EVERYTHING)) >= 5
        assert asked(found.odds[1], CLIENTS) >= 5
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    "nothing", [None, answer("503 Odd", "server is STARTING now"), answer("200 OK", "[]"), b"HTTP/1.1 0 \r\n\r\n"]
)
async def test_what_is_no_list_states_nothing(nothing: bytes | None) -> None:
    """Silence, an error, an unreadable body: asked again, and never heard of."""
    odd = {CLIENTS: nothing, ADMINISTRATORS: nothing}
    async with play(odd, odd, request_timeout=0.3) as found:
        found.enquirer.about(ELSEWHERE)
        await asyncio.sleep(10.0)
        assert asked(found.odds[0], ADMINISTRATORS) >= 4
        assert asked(found.odds[1], CLIENTS) >= 4
        assert found.stated_so_far == []


async def test_that_no_node_says_anything_is_told_each_time() -> None:
    """Two of them swallow every question; the own one, which shows administrators nothing either, is none of them."""
    mute: Mapping[str, bytes | None] = {CLIENTS: None, ADMINISTRATORS: None}
    async with play(mute, mute, mute, request_timeout=0.3) as found:
        found.enquirer.about(ELSEWHERE)
        await asyncio.sleep(10.0)
        assert len(found.silent) >= 3
        assert {(key, tuple(places)) for key, places in found.silent} == {(ORDERS, (1, 2))}


async def test_a_node_that_answers_with_an_error_is_not_silent() -> None:
    """It is there, and may have a list in a moment."""
    async with play(BOTH, {CLIENTS: None}, {CLIENTS: answer("503 Odd")}, request_timeout=0.3) as found:
        found.enquirer.about(ELSEWHERE)
        await asyncio.sleep(10.0)
        assert asked(found.odds[2], CLIENTS) >= 3
        assert found.silent == []


@pytest.mark.parametrize("status", [401, 403, 404, 410])
async def test_who_may_not_read_the_administrators_list_asks_seldom(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Once a minute, without a word; another node is asked instead where that is allowed."""
    closed = {ADMINISTRATORS: answer(f"{status} Odd", "no")}
    async with play(closed, BOTH) as found:
        found.enquirer.about(HERE)
        await asyncio.sleep(CLOSED_FOR / 2)
        assert asked(found.odds[0], ADMINISTRATORS) == 1
        assert found.stated_so_far == []
        found.enquirer.about(ELSEWHERE)
        await asyncio.sleep(CLOSED_FOR)
        assert asked(found.odds[0], ADMINISTRATORS) == 2
        assert set(found.answering(View.EVERYTHING)) == {1}
    assert caplog.records == []


async def test_a_refusal_of_the_administrators_list_renews_no_login() -> None:
    """It is about what the user may do: the token that serves everything else is not given up."""
    login = answer("200 OK", '{"accessToken": "t", "tokenTtl": 18000}')
    closed = {ADMINISTRATORS: answer("403 No"), "/nacos/v3/auth/user/login": login}
    async with play(closed, user=User("reader", Secret("secret"))) as found:
        found.enquirer.about(HERE)
        await asyncio.sleep(3 * CLOSED_FOR)
        assert asked(found.odds[0], ADMINISTRATORS) == 3
        assert asked(found.odds[0], "/nacos/v3/auth/user/login") == 1


async def test_a_refused_second_opinion_renews_the_login() -> None:
    """As any other request does."""
    login = answer("200 OK", '{"accessToken": "t", "tokenTtl": 18000}')
    other = {CLIENTS: answer("403 No"), "/nacos/v3/auth/user/login": login}
    async with play(other, other, user=User("reader", Secret("secret"))) as found:
        found.enquirer.about(ELSEWHERE)
        await asyncio.sleep(2.9)
        assert (
            asked(found.odds[0], "/nacos/v3/auth/user/login") + asked(found.odds[1], "/nacos/v3/auth/user/login") == 2
        )


async def test_nothing_is_asked_without_a_session_or_a_doubt() -> None:
    """Nor is a connection kept; both come and go."""
    async with play(BOTH, BOTH) as found:
        await asyncio.sleep(5.0)
        found.enquirer.session_at(None)
        found.enquirer.about(ELSEWHERE)
        await asyncio.sleep(5.0)
        assert found.odds[0].seen == found.odds[1].seen == []
        found.at_home()
        await asyncio.sleep(3.0)
        assert found.stated_so_far != []
        found.enquirer.about({})
        await asyncio.sleep(1.0)
        heard = len(found.stated_so_far)
        assert found.enquirer._nodes == {}
        await asyncio.sleep(5.0)
        assert len(found.stated_so_far) == heard
        found.enquirer.about(ELSEWHERE)
        await asyncio.sleep(1.0)
        assert len(found.stated_so_far) > heard


async def test_who_is_asked_follows_the_session() -> None:
    """After a move the other two are others."""
    async with play(BOTH, BOTH) as found:
        found.enquirer.about(ELSEWHERE)
        await asyncio.sleep(4.0)
        found.enquirer.session_at(found.options.servers[1])
        moved = len(found.stated_so_far)
        await asyncio.sleep(4.0)
        later = found.stated_so_far[moved + 1 :]
        assert {one.server for one in later if one.view is View.OFFERED} == {found.options.servers[0]}
        assert {one.server for one in later if one.view is View.EVERYTHING} == {found.options.servers[1]}


async def test_services_are_asked_about_one_by_one() -> None:
    """Each with its name, and the answer of each is its own."""
    async with play(BOTH, BOTH) as found:
        found.enquirer.about({ORDERS: Enquiry(), STOCK: Enquiry(frozenset({"B"}))})
        await asyncio.sleep(0.5)
        assert {one.key for one in found.stated_so_far} == {ORDERS, STOCK}
        orders, stock = sorted(head.split()[1].partition("?")[2] for head in found.odds[0].seen)
        assert orders == "serviceName=orders&groupName=G&namespaceId=public&clusterName=DEFAULT"
        assert stock == "serviceName=stock&groupName=G&namespaceId=public&clusterName=B"


async def test_tls_files_that_will_not_do_are_a_node_that_does_not_answer() -> None:
    """Nothing crashes, nothing is stated."""
    async with play(BOTH, BOTH, tls=Tls(ca_file=Path("/nowhere/ca.pem"))) as found:
        found.enquirer.about(ELSEWHERE)
        await asyncio.sleep(4.0)
        assert found.stated_so_far == []
