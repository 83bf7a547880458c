"""One registry node by its HTTP interface: requests go out, whatever comes back is a reply. Nothing is judged here.

Real servers answer oddly (a wrong password gets status 500, or a status line that is not HTTP), so an answer that
cannot be read is a reply of status 0 with the raw text.
"""

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import aiohttp

from sidecar.discovery.options import NacosOptions, Server
from sidecar.discovery.session import Unanswered
from sidecar.discovery.tls import context

ABSENT = frozenset({404, 405, 410, 501})
"""A path that this version of the server does not have, or has no more."""

NOT_HTTP = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """A status and a text."""

    status: int
    text: str

    def __str__(self) -> str:
        words = " ".join(self.text.split())[:200]
        return f"HTTP {self.status}: {words}" if self.status else f"not HTTP: {words}"

    def body(self) -> Any:
        """Whatever JSON it is; None where it is none."""
        with suppress(ValueError):
            return json.loads(self.text)
        return None

    def json(self) -> dict[str, Any]:
        """The object that it holds; later servers wrap one in `data`. Empty where it holds none."""
        body = self.body()
        if not isinstance(body, dict):
            return {}
        return body["data"] if isinstance(body.get("data"), dict) else body


class Http:
    """Requests to one node, each within `request_timeout`; to be entered before the first."""

    def __init__(self, server: Server, options: NacosOptions) -> None:
        self._base = f"{'https' if options.tls else 'http'}://{server}{base_path(options.context_path)}"
        self._tls = options.tls
        self._timeout = options.request_timeout
        self._client: aiohttp.ClientSession | None = None

    def __repr__(self) -> str:
        return f"<Http {self._base}>"

    async def __aenter__(self) -> Self:
        """Raises Unanswered where TLS is configured with files that will not do."""
        connector = None
        if self._tls is not None:
            connector = aiohttp.TCPConnector(ssl=await asyncio.to_thread(context, self._tls))
        self._client = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=self._timeout),
        )
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Lets go of every connection."""
        if self._client is not None:
            await self._client.close()

    async def get(self, path: str, params: Mapping[str, str] = {}, headers: Mapping[str, str] = {}) -> Reply:
        """Raises Unanswered."""
        return await self._request("GET", path, params=params, headers=headers)

    async def post(self, path: str, form: Mapping[str, str]) -> Reply:
        """With a form as the body: what stands there stays out of everybody's access logs. Raises Unanswered."""
        return await self._request("POST", path, data=form)

    async def _request(self, method: str, path: str, **more: Any) -> Reply:
        assert self._client is not None  # noqa: S101 - callers enter first
        name = self._tls.server_name if self._tls else None
        try:
            async with self._client.request(
                method, self._base + path, allow_redirects=False, server_hostname=name, **more
            ) as answer:
                return Reply(answer.status, await answer.text(errors="replace"))
        except aiohttp.ClientResponseError as error:
            return Reply(NOT_HTTP, error.message)
        except TimeoutError as error:
            raise Unanswered(f"no answer in {self._timeout:g} s", timed_out=True) from error
        except (aiohttp.ClientError, OSError) as error:
            raise Unanswered(str(error) or type(error).__name__) from error


def base_path(context_path: str) -> str:
    """What all paths begin with; a slash alone, or nothing, means nothing."""
    inner = context_path.strip("/")
    return f"/{inner}" if inner else ""
