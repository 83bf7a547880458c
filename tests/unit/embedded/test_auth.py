"""Whom the embedded registry lets in."""

import base64
import hashlib
import hmac

import pytest

from sidecar.embedded.auth import DeniedError, Doorman
from sidecar.embedded.faults import Auth, LoginPath
from sidecar.embedded.in_force import Faults
from sidecar.embedded.model import ServiceName

ORDERS = ServiceName("orders")


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture
def doorman(faults: Faults) -> Doorman:
    return Doorman(faults)


def token(doorman: Doorman, now: float = 0.0) -> str:
    answer = doorman.login(3, "nacos", "nacos", now)
    assert answer is not None
    return str(answer["accessToken"])


def signed(data: str, *, secret: str = "hush", ak: str = "key") -> dict[str, str]:
    digest = hmac.new(secret.encode(), data.encode(), hashlib.sha1).digest()
    return {"ak": ak, "data": data, "signature": base64.b64encode(digest).decode()}


def test_without_the_knob_everybody_is_let_in(doorman: Doorman) -> None:
    """No token is needed, and any login succeeds."""
    doorman.check({}, ORDERS, 0.0)
    assert doorman.login(1, "whoever", "whatever", 0.0) is not None


@pytest.mark.parametrize(
    ("paths", "found"), [(LoginPath.V1, [1]), (LoginPath.V3, [3]), (LoginPath.BOTH, [1, 3]), (LoginPath.NONE, [])]
)
def test_a_login_is_where_the_knob_says(doorman: Doorman, faults: Faults, paths: LoginPath, found: list[int]) -> None:
    """None stands for a path that is not there."""
    faults.set(Auth(login=paths))
    assert [api for api in (1, 3) if doorman.login(api, "nacos", "nacos", 0.0)] == found
    assert doorman.logins == len(found)


def test_a_token_is_good_for_as_long_as_it_says(doorman: Doorman, faults: Faults) -> None:
    """In any of the three places that servers look at; then the server says which way it is bad."""
    faults.set(Auth(token_ttl_s=10))
    known = token(doorman)
    for shown in ({"accessToken": known}, {"Authorization": f"Bearer {known}"}):
        doorman.check(shown, ORDERS, 9.9)
    with pytest.raises(DeniedError, match="token expired!"):
        doorman.check({"accessToken": known}, ORDERS, 10.0)
    doorman.revoke()
    with pytest.raises(DeniedError, match="token invalid!"):
        doorman.check({"accessToken": known}, ORDERS, 0.0)
    with pytest.raises(DeniedError, match="User not found!"):
        doorman.check({}, ORDERS, 0.0)


def test_a_wrong_password_is_told(doorman: Doorman, faults: Faults) -> None:
    """Not as a path that is missing."""
    faults.set(Auth(password="right"))
    with pytest.raises(DeniedError):
        doorman.login(3, "nacos", "wrong", 0.0)


def test_a_signature_is_checked_against_what_it_signs(doorman: Doorman, faults: Faults) -> None:
    """Key, digest, service: each has to fit."""
    faults.set(Auth(access_key="key", secret_key="hush"))
    doorman.check(signed("1700@@DEFAULT_GROUP@@orders"), ORDERS, 0.0)
    for bad in (
        signed("1700@@DEFAULT_GROUP@@orders", secret="other"),
        signed("1700@@DEFAULT_GROUP@@orders", ak="other"),
        signed("1700@@DEFAULT_GROUP@@stock"),
        signed("now@@DEFAULT_GROUP@@orders"),
    ):
        with pytest.raises(DeniedError, match="authorization failed!"):
            doorman.check(bad, ORDERS, 0.0)
