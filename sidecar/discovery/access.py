"""Shows the registry with every request who we are, and once more, with what is new, when it refuses."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from sidecar.clock import Rng
from sidecar.discovery.login import Login
from sidecar.discovery.options import NacosOptions, Server
from sidecar.discovery.session import ErrorAnswer

DENIED = frozenset({401, 403})

T = TypeVar("T")


class Access:
    """What one registry is shown, over all sessions."""

    def __init__(self, options: NacosOptions, *, rng: Rng) -> None:
        self._login = Login(options.user, options, rng=rng) if options.user else None

    async def granted(self, server: Server, send: Callable[[Mapping[str, str]], Awaitable[T]]) -> T:
        """The result of `send`, which is given headers and may be called twice; raises what it raises."""
        token = await self._login.token(server) if self._login else None
        try:
            return await send(_headers(token))
        except ErrorAnswer as answer:
            if answer.code not in DENIED or self._login is None or not await self._login.refused(server, token):
                raise
        return await send(_headers(await self._login.token(server)))

    async def close(self) -> None:
        """Ends what is under way."""
        if self._login is not None:
            await self._login.close()


def _headers(token: str | None) -> Mapping[str, str]:
    return {"accessToken": token} if token else {}
