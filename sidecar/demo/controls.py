"""What the story asks of the registry and of the sidecar's admin port, over HTTP as anybody could."""

from collections.abc import Mapping
from typing import Any

import aiohttp

from sidecar.demo.processes import StageError
from sidecar.demo.verdict import RESCUES


class Registry:
    """The embedded Nacos and its fault knobs; raises StageError when it does not do as asked."""

    def __init__(self, session: aiohttp.ClientSession, address: str, service: str) -> None:
        self.address = address
        self._session = session
        self._service = service

    async def listed(self) -> int:
        """How many instances the service has."""
        url = f"/nacos/v1/ns/instance/list?serviceName={self._service}"
        answer: dict[str, Any] = await self._ask("GET", url)
        return len(answer["hosts"])

    async def deny_all(self) -> None:
        """Claims at once, against the truth, that nobody is left."""
        await self._ask("POST", "/faults/forced_list", {"service": self._service, "shape": "empty"})
        await self._ask("POST", "/faults/push_now", {"service": self._service})

    async def tell_the_truth(self) -> None:
        """Takes the claim back, at once."""
        await self._ask("DELETE", "/faults/forced_list")
        await self._ask("POST", "/faults/push_now", {"service": self._service})

    async def _ask(self, method: str, path: str, body: Mapping[str, str] | None = None) -> Any:
        try:
            async with self._session.request(method, f"http://{self.address}{path}", json=body) as answer:
                if answer.status != 200:
                    raise StageError(f"the registry refused {method} {path}: {(await answer.text()).strip()}")
                return await answer.json()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise StageError(f"the registry did not answer {method} {path}: {error!r}") from error


class Admin:
    """The sidecar's admin port."""

    def __init__(self, session: aiohttp.ClientSession, address: str, service: str) -> None:
        self.address = address
        self._session = session
        self._service = service

    async def ready(self) -> bool:
        """Whether /readyz says so."""
        try:
            async with self._session.get(f"http://{self.address}/readyz") as answer:
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def rescued(self) -> Mapping[str, int]:
        """Rescued calls so far, by way; raises StageError when the port does not answer."""
        try:
            async with self._session.get(f"http://{self.address}/metrics") as answer:
                return rescues(await answer.text(), self._service)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise StageError(f"the sidecar's admin port did not answer: {error!r}") from error


def rescues(exposition: str, service: str) -> Mapping[str, int]:
    """Rescued calls of a service by way, out of the text of /metrics; ways that saved nobody may be missing."""
    wanted = {f'sidecar_rescued_requests_total{{service="{service}",by="{by}"}}': by for by in RESCUES}
    samples = (line.rpartition(" ") for line in exposition.splitlines())
    return {wanted[series]: round(float(value)) for series, _, value in samples if series in wanted}
