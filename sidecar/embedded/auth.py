"""Who may ask: users with tokens, and signed requests, judged and refused in the words of the Java server. Pure.

Without the knob `Auth` nobody is refused and every login succeeds. `now` is seconds of any one clock.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from typing import Any

from sidecar.embedded.faults import Auth, LoginPath
from sidecar.embedded.in_force import Faults
from sidecar.embedded.model import ServiceName

_PATHS = {LoginPath.V1: {1}, LoginPath.V3: {3}, LoginPath.BOTH: {1, 3}, LoginPath.NONE: set[int]()}
_FOR_ANYBODY = {"accessToken": "embedded", "tokenTtl": 18000, "globalAdmin": True, "username": "nacos"}


class DeniedError(Exception):
    """A request that may not be answered; the text is the server's."""


class Doorman:
    """Issues tokens and looks at what requests show; a token outlives a restart, as a signed one does."""

    __slots__ = ("_faults", "_tokens", "logins")

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._tokens: dict[str, float] = {}
        self.logins = 0
        """Logins that were tried at a path that is there."""

    def __repr__(self) -> str:
        return f"<Doorman {len(self._tokens)} tokens, {self.logins} logins>"

    def login(self, api: int, username: str, password: str, now: float) -> dict[str, Any] | None:
        """What a login by API version `api` is answered; None: there is no such path. Raises `DeniedError`."""
        auth = self._faults.find(Auth)
        if auth is not None and api not in _PATHS[auth.login]:
            return None
        self.logins += 1
        if auth is None:
            return _FOR_ANYBODY
        if (username, password) != (auth.username, auth.password):
            raise DeniedError("User nacos not found or password is wrong")
        token = secrets.token_urlsafe(16)
        self._tokens[token] = now + auth.token_ttl_s
        return {**_FOR_ANYBODY, "accessToken": token, "tokenTtl": auth.token_ttl_s, "username": username}

    def revoke(self) -> None:
        """Every token is unknown from now on, as after a change of the server's own key."""
        self._tokens.clear()

    def check(self, shown: Mapping[str, str], service: ServiceName | None, now: float) -> None:
        """Looks at the headers or parameters of a request; raises `DeniedError` where they do not do."""
        auth = self._faults.find(Auth)
        if auth is None:
            return
        if auth.access_key and "signature" in shown:
            _check_signature(auth, shown, service)
            return
        token = shown.get("accessToken") or shown.get("Authorization", "").removeprefix("Bearer ")
        if not token:
            raise DeniedError("User not found!")
        if token not in self._tokens:
            raise DeniedError("token invalid!")
        if now >= self._tokens[token]:
            raise DeniedError("token expired!")


def _check_signature(auth: Auth, shown: Mapping[str, str], service: ServiceName | None) -> None:
    data = shown.get("data", "")
    digest = hmac.new(auth.secret_key.encode(), data.encode(), hashlib.sha1).digest()
    millis, _, name = data.partition("@@")
    if shown.get("ak") != auth.access_key or shown["signature"] != base64.b64encode(digest).decode():
        raise DeniedError("authorization failed!")
    if not millis.isdigit() or (service is not None and name != service.grouped):
        raise DeniedError("authorization failed!")
