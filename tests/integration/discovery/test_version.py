"""Versions, as each generation of servers tells them."""

import asyncio
import random

import pytest

from sidecar.discovery import version
from sidecar.discovery.access import Access
from sidecar.discovery.http import Http
from sidecar.discovery.options import NacosOptions
from sidecar.discovery.session import Unanswered
from sidecar.discovery.version import QUESTIONS, Identity, complaint, find_version
from tests.support.odd_server import answer, odd_server
from tests.support.stack import until
from tests.support.until import PATIENCE

OPTIONS = NacosOptions(request_timeout=PATIENCE)


@pytest.mark.parametrize(
    ("path", "body", "found"),
    [
        ("/v3/admin/core/state", '{"code": 0, "data": {"version": "3.1.0"}}', "3.1.0"),
        ("/v2/core/cluster/node/self", '{"code": 0, "data": {"extendInfo": {"version": "2.3.2"}}}', "2.3.2"),
        ("/v1/console/server/state", '{"version": "1.4.8", "standalone_mode": "standalone"}', "1.4.8"),
        ("/v3/admin/core/state", '{"data": {"version": 3}}', None),
        ("/v2/core/cluster/node/self", '{"data": {"extendInfo": "odd"}}', None),
        ("/v3/admin/core/state", "<html>", None),
        ("/", "", None),
    ],
)
async def test_a_server_is_asked_in_the_ways_of_each_generation(path: str, body: str, found: str | None) -> None:
    """The first that tells counts; what cannot be read tells nothing."""
    async with odd_server({f"/nacos{path}": answer("200 OK", body)}) as odd, Http(odd.server, OPTIONS) as http:
        assert await find_version(http, {}) == found


async def test_a_server_that_does_not_answer_is_asked_one_question() -> None:
    """The others would take as long."""
    async with odd_server({"/nacos/v3/admin/core/state": b""}) as odd, Http(odd.server, OPTIONS) as http:
        with pytest.raises(Unanswered):
            await find_version(http, {})
        assert len(odd.seen) == 1


async def test_a_token_is_shown_with_every_question() -> None:
    """A real 2.3 with users answers 403 without."""
    async with odd_server({}) as odd, Http(odd.server, OPTIONS) as http:
        await find_version(http, {"accessToken": "t"})
        assert ["accessToken: t" in head for head in odd.seen] == [True] * len(QUESTIONS)


async def test_it_asks_until_it_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that starts tells later."""
    monkeypatch.setattr(version, "ASKED_AGAIN_AFTER", 0.05)
    heard: asyncio.Queue[str] = asyncio.Queue()
    async with odd_server({}) as odd:
        identity = Identity(odd.server, OPTIONS, Access(OPTIONS, rng=random.Random(1)), heard.put_nowait)
        await until(lambda: len(odd.seen) >= 2 * len(QUESTIONS))
        assert identity.version is None
        assert repr(identity).endswith(": unknown>")
        odd.answers["/nacos/v3/admin/core/state"] = answer("200 OK", '{"data": {"version": "3.2.4"}}')
        assert await asyncio.wait_for(heard.get(), PATIENCE) == identity.version == "3.2.4"
        identity.close()


async def test_knowing_and_telling_are_one_step() -> None:
    """Between the two somebody would read the version, and then be told it once more."""
    told: list[str] = []
    async with odd_server({"/nacos/v3/admin/core/state": answer("200 OK", '{"data": {"version": "3.2.4"}}')}) as odd:
        identity = Identity(odd.server, OPTIONS, Access(OPTIONS, rng=random.Random(1)), told.append)
        while identity.version is None:  # noqa: ASYNC110 - every turn of the loop is looked at
            await asyncio.sleep(0)
        assert told == ["3.2.4"]


@pytest.mark.parametrize(
    ("known", "bad"),
    [("2.2.0", True), ("2.2.3", True), ("2.2.0.1", True), ("2.2.4", False), ("2.2.30", False), ("2.3.0", False)],
)
def test_versions_that_never_evict_are_known(known: str, bad: bool) -> None:  # noqa: FBT001 - a column of the table
    """2.2.0 to 2.2.3, and nothing around them."""
    assert (complaint(known) is not None) is bad
