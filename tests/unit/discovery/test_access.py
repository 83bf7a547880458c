"""Showing who we are, and once more after a refusal."""

import random
from collections.abc import Mapping
from pathlib import Path

import pytest

from sidecar.discovery.access import Access
from sidecar.discovery.credentials import AccessKey, Secret, User
from sidecar.discovery.options import NacosOptions, Server
from sidecar.discovery.session import ErrorAnswer, ServiceKey, Unanswered

SERVER = Server("127.0.0.1", 1, 2)
ORDERS = ServiceKey("orders", "DEFAULT_GROUP")


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
    assert await nobody.granted(SERVER, ORDERS, requests.send) == "list"
    with pytest.raises(ErrorAnswer):
        await nobody.granted(SERVER, ORDERS, requests.send)
    assert requests.shown == [{}, {}]
    await nobody.close()


@pytest.mark.parametrize("code", [401, 403])
async def test_a_refusal_is_answered_with_a_new_token_once(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """The request is sent again with it."""
    requests = Requests(ErrorAnswer(code, "token expired!"), "list")
    assert await access(monkeypatch, "old", "new").granted(SERVER, ORDERS, requests.send) == "list"
    assert requests.shown == [{"accessToken": "old"}, {"accessToken": "new"}]


async def test_a_second_refusal_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user may not read this service: two requests, no more."""
    requests = Requests(ErrorAnswer(403, "a"), ErrorAnswer(403, "b"))
    with pytest.raises(ErrorAnswer, match="b"):
        await access(monkeypatch, "old", "new", "newer").granted(SERVER, ORDERS, requests.send)
    assert len(requests.shown) == 2


@pytest.mark.parametrize("failure", [ErrorAnswer(500, "x"), ErrorAnswer(301, "x"), Unanswered("x")])
async def test_other_failures_have_nothing_to_do_with_it(monkeypatch: pytest.MonkeyPatch, failure: Exception) -> None:
    """One request."""
    requests = Requests(failure)
    with pytest.raises(type(failure)):
        await access(monkeypatch, "old", "new").granted(SERVER, ORDERS, requests.send)
    assert len(requests.shown) == 1


async def test_a_signature_goes_with_every_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside a token where there is a user too."""
    options = NacosOptions(user=User("me", Secret("hush")), access_key=AccessKey("key", Secret("hush")))
    both = Access(options, rng=random.Random(1))
    monkeypatch.setattr(both, "_login", Tokens("t"))
    requests = Requests("list")
    await both.granted(SERVER, ORDERS, requests.send)
    (shown,) = requests.shown
    assert shown.keys() == {"accessToken", "ak", "data", "signature"}
    assert shown["data"].endswith("@@DEFAULT_GROUP@@orders")


async def test_a_rotated_signing_key_is_used_within_the_request_that_was_refused(tmp_path: Path) -> None:
    """Its file is read again then; one that still holds the same key leads to no second request."""
    file = tmp_path / "secret"
    file.write_text("old")
    signing = Access(NacosOptions(access_key=AccessKey("key", Secret(file=file))), rng=random.Random(1))
    requests = Requests(ErrorAnswer(403, "a"), ErrorAnswer(403, "b"), "list")
    with pytest.raises(ErrorAnswer, match="a"):
        await signing.granted(SERVER, ORDERS, requests.send)
    file.write_text("new")
    assert await signing.granted(SERVER, ORDERS, requests.send) == "list"
    assert requests.shown[1]["signature"] != requests.shown[2]["signature"]
