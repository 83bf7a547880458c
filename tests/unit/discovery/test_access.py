"""Showing who we are, and once more after a refusal."""

import random
from collections.abc import Mapping

import pytest

from sidecar.discovery.access import Access
from sidecar.discovery.credentials import Secret, User
from sidecar.discovery.options import NacosOptions, Server
from sidecar.discovery.session import ErrorAnswer, Unanswered

SERVER = Server("127.0.0.1", 1, 2)


class Requests:
    """Answers of a scripted registry, in order, and the headers that each came with."""

    def __init__(self, *answers: str | Exception) -> None:
        self._answers = list(answers)
        self.shown: list[Mapping[str, str]] = []

    async def send(self, headers: Mapping[str, str]) -> str:
        self.shown.append(headers)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


class Tokens:
    """Stands in for a login: the first token, and those that replace it."""

    def __init__(self, *tokens: str) -> None:
        self._tokens = list(tokens)

    async def token(self, _server: Server) -> str:
        return self._tokens[0]

    async def refused(self, _server: Server, _token: str | None) -> bool:
        if len(self._tokens) == 1:
            return False
        self._tokens.pop(0)
        return True


def access(monkeypatch: pytest.MonkeyPatch, *tokens: str) -> Access:
    user = User("me", Secret("hush")) if tokens else None
    found = Access(NacosOptions(user=user), rng=random.Random(1))
    if tokens:
        monkeypatch.setattr(found, "_login", Tokens(*tokens))
    return found


async def test_without_a_user_nothing_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """And a refusal is passed on as it came."""
    requests = Requests("list", ErrorAnswer(403, "no"))
    nobody = access(monkeypatch)
    assert await nobody.granted(SERVER, requests.send) == "list"
    with pytest.raises(ErrorAnswer):
        await nobody.granted(SERVER, requests.send)
    assert requests.shown == [{}, {}]
    await nobody.close()


@pytest.mark.parametrize("code", [401, 403])
async def test_a_refusal_is_answered_with_a_new_token_once(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """The request is sent again with it."""
    requests = Requests(ErrorAnswer(code, "token expired!"), "list")
    assert await access(monkeypatch, "old", "new").granted(SERVER, requests.send) == "list"
    assert requests.shown == [{"accessToken": "old"}, {"accessToken": "new"}]


async def test_a_second_refusal_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user may not read this service: two requests, no more."""
    requests = Requests(ErrorAnswer(403, "a"), ErrorAnswer(403, "b"))
    with pytest.raises(ErrorAnswer, match="b"):
        await access(monkeypatch, "old", "new", "newer").granted(SERVER, requests.send)
    assert len(requests.shown) == 2


@pytest.mark.parametrize("failure", [ErrorAnswer(500, "x"), ErrorAnswer(301, "x"), Unanswered("x")])
async def test_other_failures_have_nothing_to_do_with_it(monkeypatch: pytest.MonkeyPatch, failure: Exception) -> None:
    """One request."""
    requests = Requests(failure)
    with pytest.raises(type(failure)):
        await access(monkeypatch, "old", "new").granted(SERVER, requests.send)
    assert len(requests.shown) == 1
