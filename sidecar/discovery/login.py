"""Logs one user in, again when it is time, and again when the registry refuses the token.

Decides nothing: `renewal` says when a try is allowed. One try at a time, whoever asks for it; a renewal runs beside
requests that still show the old token. A login that fails costs nothing but a line in the event log: requests go out
without a token, and lists in force stay so. The same complaint is written once, until a login succeeds.
"""

import asyncio
import logging
import re
from contextlib import suppress

from sidecar.clock import Rng
from sidecar.discovery.credentials import SecretError, User
from sidecar.discovery.http import ABSENT, Http, Reply
from sidecar.discovery.options import NacosOptions, Server
from sidecar.discovery.renewal import Renewal
from sidecar.discovery.session import RequestError
from sidecar.tasks import spawn

PATHS = ("/v3/auth/user/login", "/v1/auth/users/login", "/v1/auth/login")
"""From 3.0 on; 1.2 to 3.1; before."""

DEFAULT_TTL = 18_000.0
"""What servers give unless told otherwise."""

LONGEST_TTL = 366 * 86_400.0
"""Whatever number comes, a float holds this."""

_VARYING = re.compile(r"[0-9]+")
"""Servers put the time into what they say."""

_log = logging.getLogger("sidecar")


class NotLoggedInError(Exception):
    """The registry answered a login, but not with a token; the text is what it said."""


async def log_in(http: Http, name: str, password: str) -> tuple[str, float]:
    """(token, its life in seconds). Raises NotLoggedInError, or Unanswered."""
    reply = Reply(404, "")
    for path in PATHS:
        reply = await http.post(path, {"username": name, "password": password})
        if reply.status not in ABSENT:
            break
    answer = reply.json() if reply.status == 200 else {}
    token, ttl = answer.get("accessToken"), answer.get("tokenTtl")
    if not isinstance(token, str) or not token:
        said = (
            reply.text.replace(password, "***") if password else reply.text
        )  # before it is cut, perhaps in the middle of it
        raise NotLoggedInError(str(Reply(reply.status, said)))
    return token, min(ttl, LONGEST_TTL) if isinstance(ttl, int | float) and ttl > 0 else DEFAULT_TTL


class Login:
    """One user at one registry, over all sessions."""

    def __init__(self, user: User, options: NacosOptions, *, rng: Rng) -> None:
        self._user = user
        self._options = options
        self._renewal = Renewal(rng=rng)
        self._trying: asyncio.Task[None] | None = None
        self._trying_at: Server | None = None
        self._complaint: str | None = None

    def __repr__(self) -> str:
        return f"<Login {self._user.name}: {self._renewal!r}>"

    async def token(self, server: Server) -> str | None:
        """What to show to `server` now; waits for a login only while there is no token at all."""
        if self._renewal.due(asyncio.get_running_loop().time()):
            trying = self._try(server, refused=False)
            if self._renewal.token is None and trying is not None:
                await asyncio.shield(trying)
        return self._renewal.token

    async def refused(self, server: Server, token: str | None) -> bool:
        """`server` did not accept `token`; True when there is another one to show."""
        while token == self._renewal.token and (trying := self._try(server, refused=True)) is not None:
            elsewhere = self._trying_at != server
            await asyncio.shield(trying)
            if not elsewhere:
                break
        return token != self._renewal.token

    async def close(self) -> None:
        """Ends a try that is under way."""
        if self._trying is not None:
            self._trying.cancel()
            with suppress(asyncio.CancelledError):
                await self._trying

    def _try(self, server: Server, *, refused: bool) -> asyncio.Task[None] | None:
        """The try under way, or a new one; None when it is too early for one."""
        if self._trying is not None and not self._trying.done():
            return self._trying
        try:
            password = self._user.password.read()
        except SecretError as error:
            self._complain(str(error))
            return None
        if not self._renewal.may_try(password, server, refused=refused, now=asyncio.get_running_loop().time()):
            return None
        self._trying_at = server
        self._trying = spawn(self._log_in(server, password, refused=refused), name="registry login")
        return self._trying

    async def _log_in(self, server: Server, password: str, *, refused: bool) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with Http(server, self._options) as http:
                token, ttl = await log_in(http, self._user.name, password)
        except (NotLoggedInError, RequestError) as error:
            answered = isinstance(error, NotLoggedInError)
            self._renewal.failed(server, password=password, answered=answered, now=loop.time())
            self._complain(f"{server}: {error}")
        else:
            self._renewal.obtained(token, ttl, password=password, refused=refused, now=loop.time())
            self._rejoice(server)

    def _complain(self, why: str) -> None:
        gist = _VARYING.sub("", why)
        if gist != self._complaint:
            self._complaint = gist
            _log.warning("registry: not logged in as %s: %s", self._user.name, why)

    def _rejoice(self, server: Server) -> None:
        if self._complaint is not None:
            self._complaint = None
            _log.info("registry: logged in as %s at %s again", self._user.name, server)
