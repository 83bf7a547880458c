"""Logins at the embedded registry, and at servers that answer oddly."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sidecar.discovery import renewal
from sidecar.discovery.credentials import Secret, User
from sidecar.discovery.http import Http
from sidecar.discovery.login import DEFAULT_TTL, LONGEST_TTL, Login, NotLoggedInError, log_in
from sidecar.discovery.options import NacosOptions, Server
from sidecar.embedded.faults import Auth, LoginPath, RevokeTokens
from sidecar.embedded.registry import EmbeddedRegistry
from sidecar.tasks import spawn
from tests.support.odd_server import answer, odd_server
from tests.support.ports import free_port
from tests.support.until import PATIENCE, until

OPTIONS = NacosOptions(request_timeout=PATIENCE)
V3 = "/nacos/v3/auth/user/login"


@pytest.fixture
async def registry() -> AsyncIterator[EmbeddedRegistry]:
    async with EmbeddedRegistry() as registry:
        await registry.apply(Auth(password="right"))
        yield registry


def at(registry: EmbeddedRegistry) -> Server:
    return Server.parse(registry.address, grpc_port_offset=registry.port_offset)


def user(password: str = "right", file: Path | None = None) -> Login:
    secret = Secret(file=file) if file else Secret(password)
    return Login(User("nacos", secret), OPTIONS, rng=random.Random(1))


@pytest.mark.parametrize("paths", [LoginPath.V1, LoginPath.V3, LoginPath.BOTH])
async def test_every_generation_of_servers_lets_us_in(registry: EmbeddedRegistry, paths: LoginPath) -> None:
    """The v3 path first, v1 where there is none, one login either way."""
    await registry.apply(Auth(login=paths, password="right", token_ttl_s=77))
    async with Http(at(registry), OPTIONS) as http:
        token, ttl = await log_in(http, "nacos", "right")
    assert (bool(token), ttl, registry.doorman.logins) == (True, 77.0, 1)


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (answer("500 Odd", "caused: wrong right;"), "HTTP 500: caused: wrong ***;"),
        (answer("500 Odd", "x" * 198 + "right"), "HTTP 500: " + "x" * 198 + "**"),
        (b"HTTP/1.1 0 \r\n\r\n", "not HTTP: "),
        (answer("412 Odd", "no user yet"), "HTTP 412: no user yet"),
        (answer("403 No", "unknown user!"), "HTTP 403: unknown user!"),
        (answer("200 OK", "<html>"), "HTTP 200: <html>"),
        (answer("200 OK", '{"accessToken": ""}'), "HTTP 200: "),
    ],
)
async def test_whatever_is_not_a_token_is_told_as_it_came(reply: bytes, told: str) -> None:
    """The server's own words, without the password if it repeats that."""
    async with odd_server({V3: reply}) as odd, Http(odd.server, OPTIONS) as http:
        with pytest.raises(NotLoggedInError) as caught:
            await log_in(http, "nacos", "right")
    assert str(caught.value).startswith(told)
    assert "right" not in str(caught.value)


async def test_a_server_without_any_login_is_told_as_such(registry: EmbeddedRegistry) -> None:
    """404 at each of the paths."""
    await registry.apply(Auth(login=LoginPath.NONE))
    async with Http(at(registry), OPTIONS) as http:
        with pytest.raises(NotLoggedInError, match="HTTP 404"):
            await log_in(http, "nacos", "right")


async def test_a_token_without_a_term_is_good_for_what_servers_give_by_default() -> None:
    """Five hours; wrapped in `data` or not."""
    body = '{"code": 0, "data": {"accessToken": "t"}}'
    async with odd_server({V3: answer("200 OK", body)}) as odd, Http(odd.server, OPTIONS) as http:
        assert await log_in(http, "nacos", "right") == ("t", DEFAULT_TTL)


async def test_any_term_that_is_a_number_is_one() -> None:
    """More digits than a float has room for included."""
    body = f'{{"accessToken": "t", "tokenTtl": 1{"0" * 400}}}'
    async with odd_server({V3: answer("200 OK", body)}) as odd, Http(odd.server, OPTIONS) as http:
        assert await log_in(http, "nacos", "right") == ("t", LONGEST_TTL)


async def test_a_password_file_that_is_emptied_costs_nobody_a_login(
    registry: EmbeddedRegistry, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What it held before is shown on; the event log names the file; the registry is not asked about nothing."""
    file = tmp_path / "password"
    file.write_text("right\n")
    login = user(file=file)
    token = await login.token(at(registry))
    file.write_text("")
    assert not await login.refused(at(registry), token)
    assert (await login.token(at(registry)), registry.doorman.logins) == (token, 1)
    assert [record.getMessage() for record in caplog.records] == [f"registry: not logged in as nacos: {file}: is empty"]
    file.write_text("right\n")
    assert await login.refused(at(registry), token)
    await login.close()


async def test_many_who_wait_cost_one_login(registry: EmbeddedRegistry) -> None:
    """All get the same token."""
    login = user()
    tokens = await asyncio.gather(*(login.token(at(registry)) for _ in range(20)))
    assert (len(set(tokens)), registry.doorman.logins) == (1, 1)
    await login.close()


async def test_a_renewal_keeps_nobody_waiting(registry: EmbeddedRegistry) -> None:
    """While it runs, and it may take its time, the old token is shown."""
    await registry.apply(Auth(password="right", token_ttl_s=1))
    login = user()
    first = await login.token(at(registry))
    shown: list[str | None] = []

    async def renewing() -> bool:
        shown.append(await login.token(at(registry)))
        return login._trying is not None and not login._trying.done()

    async def replaced() -> bool:
        return await login.token(at(registry)) != first

    await until(renewing, pause=0.01)
    assert set(shown) == {first}
    await until(replaced)
    await login.close()


async def test_a_refused_token_is_replaced_and_an_old_one_costs_nothing(registry: EmbeddedRegistry) -> None:
    """Who comes with a token that has been replaced since is told that there is another one, without a login."""
    login = user()
    first = await login.token(at(registry))
    await registry.apply(RevokeTokens())
    assert await login.refused(at(registry), first)
    assert registry.doorman.logins == 2
    assert await login.refused(at(registry), first)
    assert registry.doorman.logins == 2
    await login.close()


async def test_a_server_that_cannot_be_reached_costs_the_next_no_pause(
    registry: EmbeddedRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pause after a try in vain is for the server that was silent."""
    monkeypatch.setattr(renewal, "FIRST_PAUSE", 3600.0)
    monkeypatch.setattr(renewal, "UNANSWERED", (3600.0, 3600.0))
    login = user()
    assert await login.token(Server("127.0.0.1", free_port(), 1)) is None
    assert await login.token(at(registry)) is not None
    await login.close()


async def test_who_is_refused_does_not_depend_on_a_try_elsewhere(registry: EmbeddedRegistry) -> None:
    """A login that hangs at one server, and then fails, is followed by one at the server that refused."""
    reached, over = asyncio.Event(), asyncio.Event()

    async def hang(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.set()
        await over.wait()
        writer.close()

    async with await asyncio.start_server(hang, "127.0.0.1", 0) as mute:
        login = user()
        elsewhere = spawn(login.token(Server("127.0.0.1", mute.sockets[0].getsockname()[1], 1)), name="elsewhere")
        await asyncio.wait_for(reached.wait(), PATIENCE)
        here = spawn(login.refused(at(registry), None), name="here")
        over.set()
        assert await asyncio.wait_for(here, PATIENCE)
        await elsewhere
    await login.close()


async def test_a_rotated_password_is_read_from_its_file(
    registry: EmbeddedRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pause after a refusal does not hold for another password."""
    monkeypatch.setattr(renewal, "FIRST_PAUSE", 3600.0)
    monkeypatch.setattr(renewal, "ANSWERED", (3600.0, 3600.0))
    file = tmp_path / "password"
    file.write_text("wrong\n")
    login = user(file=file)
    assert await login.token(at(registry)) is None
    assert await login.token(at(registry)) is None
    assert registry.doorman.logins == 1
    file.write_text("right\n")
    assert await login.token(at(registry)) is not None
    await login.close()


async def test_the_same_complaint_is_made_once_until_it_is_over(
    registry: EmbeddedRegistry, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A file that is missing, a password that is wrong, and the end of it; never the password."""
    file = tmp_path / "password"
    login = user(file=file)
    with caplog.at_level(logging.INFO, logger="sidecar"):
        for text in (None, None, "wrong-one", "wrong-two", "right"):
            if text:
                file.write_text(text)
            await login.token(at(registry))
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 3
    assert "No such file" in lines[0]
    assert lines[1].startswith(f"registry: not logged in as nacos: {registry.address}: HTTP 500: caused: ")
    assert "again" in lines[2]
    assert not any(secret in "".join(lines) for secret in ("wrong-one", "wrong-two", "right"))
    assert repr(login) == "<Login nacos: <Renewal: logged in, 0 tries in vain>>"
    await login.close()


async def test_a_complaint_with_a_time_in_it_is_still_the_same(caplog: pytest.LogCaptureFixture) -> None:
    """A real 3.1 dates its refusals."""
    async with odd_server({}) as odd:
        login = user()
        for second in (1, 2):
            odd.answers[V3] = answer("500 Odd", f'{{"timestamp": "10:00:0{second}", "status": 500}}')
            login._user = User("nacos", Secret(f"p{second}"))
            await login.token(odd.server)
        await login.close()
        assert len(odd.seen) == 2
    assert len(caplog.records) == 1


async def test_closing_ends_a_login_under_way() -> None:
    """Nothing is left behind."""
    async with odd_server({V3: None}) as odd:
        login = user()
        waiting = spawn(login.token(odd.server), name="waiting")
        await until(odd.asked)
        await login.close()
        assert (await asyncio.gather(waiting, return_exceptions=True))[0].__class__ is asyncio.CancelledError
