"""Finds out which version a registry node runs, and knows the bad ones.

Each generation tells it elsewhere, so the questions are asked in turn; some servers want a token shown with them. A
node that tells nothing (its HTTP port closed, or still starting) is asked again later; nothing waits for the answer.
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from contextlib import suppress

from sidecar.discovery.access import Access
from sidecar.discovery.http import Http
from sidecar.discovery.options import NacosOptions, Server
from sidecar.discovery.session import Unanswered
from sidecar.tasks import spawn

QUESTIONS = ("/v3/admin/core/state", "/v2/core/cluster/node/self", "/v1/console/server/state")
"""From 3.0 on; 2.x; before."""

ASKED_AGAIN_AFTER = 30.0

_NEVER_EVICTS = re.compile(r"2\.2\.[0-3](?!\d)")


def complaint(version: str) -> str | None:
    """What an operator should know about a version, if anything."""
    if _NEVER_EVICTS.match(version):
        return (
            "instances that die without a word (power loss, partition) stay listed as healthy until it is restarted "
            "(alibaba/nacos PR 10509): upgrade to 2.3.0 or later"
        )
    return None


async def find_version(http: Http, headers: Mapping[str, str]) -> str | None:
    """The version in the server's own words; None where it tells none. Raises Unanswered."""
    for path in QUESTIONS:
        reply = await http.get(path, headers=headers)
        known = reply.json() if reply.status == 200 else {}
        extended = known.get("extendInfo")
        version = known.get("version") or (extended.get("version") if isinstance(extended, dict) else None)
        if isinstance(version, str) and version:
            return version
    return None


class Identity:
    """What one server is; asks in the background from the start until it knows, or is closed."""

    def __init__(self, server: Server, options: NacosOptions, access: Access, told: Callable[[str], None]) -> None:
        self.version: str | None = None
        self._server = server
        self._options = options
        self._access = access
        self._told = told
        self._asking = spawn(self._ask(), name="registry version")

    def __repr__(self) -> str:
        return f"<Identity {self._server}: {self.version or 'unknown'}>"

    def close(self) -> None:
        """Asks no more."""
        self._asking.cancel()

    async def _ask(self) -> None:
        while True:
            version = await self._found()
            if version is not None:
                break
            await asyncio.sleep(ASKED_AGAIN_AFTER)
        self.version = version
        self._told(version)  # in the same step: whoever read `version` before is told, whoever reads it later is not

    async def _found(self) -> str | None:
        token = await self._access.token(self._server)
        with suppress(Unanswered):
            async with Http(self._server, self._options) as http:
                return await find_version(http, token)
        return None
