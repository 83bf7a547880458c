"""Shows the registry with every request who we are, and once more, with what is new, when it refuses."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from sidecar import clock
from sidecar.clock import Rng
from sidecar.discovery.login import Login
from sidecar.discovery.options import NacosOptions, Server
from sidecar.discovery.session import ErrorAnswer, ServiceKey
from sidecar.discovery.signing import Signer

DENIED = frozenset({401, 403})

T = TypeVar("T")


class Access:
    """What one registry is shown, over all sessions: a token, a signature, both or nothing."""

    def __init__(self, options: NacosOptions, *, rng: Rng) -> None:
        self._login = Login(options.user, options, rng=rng) if options.user else None
        self._signer = Signer(options.access_key) if options.access_key else None

    async def granted(self, server: Server, key: ServiceKey, send: Callable[[Mapping[str, str]], Awaitable[T]]) -> T:
        """The result of `send`, a request about `key`, which is given headers and may be called twice.

        Raises what it raises.
        """
        shown = await self.shown(server, key)
        try:
            return await send(shown)
        except ErrorAnswer as answer:
            if answer.code not in DENIED or not await self._renewed(server, shown):
                raise
        return await send(await self.shown(server, key))

    async def shown(self, server: Server, key: ServiceKey) -> Mapping[str, str]:
        """The headers of a request about `key` that is not repeated when it is refused."""
        headers = await self.token(server)
        if self._signer is not None:
            headers |= self._signer.headers(key, wall=clock.wall())
        return headers

    async def token(self, server: Server) -> dict[str, str]:
        """The headers of a request about no service."""
        token = await self._login.token(server) if self._login else None
        return {"accessToken": token} if token else {}

    async def close(self) -> None:
        """Ends what is under way."""
        if self._login is not None:
            await self._login.close()

    async def _renewed(self, server: Server, shown: Mapping[str, str]) -> bool:
        """Whether there is something to show that was not refused yet."""
        token = self._login is not None and await self._login.refused(server, shown.get("accessToken"))
        return (self._signer is not None and self._signer.refused()) or token
