"""The certificates in force: which there are, and that they are read anew when somebody has replaced their files."""

import asyncio
import logging
from collections.abc import Iterable

from sidecar.certificates import CertificateError
from sidecar.cluster.policy import ServicePolicy, Tls
from sidecar.proxy.trust import Trust

_log = logging.getLogger("sidecar")


class Trusts:
    """One for each different `tls` section; services whose sections are equal share it."""

    def __init__(self) -> None:
        self._known: dict[Tls, Trust] = {}

    def __repr__(self) -> str:
        return f"<Trusts {len(self._known)}>"

    def of(self, tls: Tls | None) -> Trust | None:
        """That of a section, None of none; `prepare` comes first."""
        return None if tls is None else self._known[tls]

    async def prepare(self, policies: Iterable[ServicePolicy]) -> None:
        """Reads what these services want; files that will not do cost their services every call, and nobody else any."""
        for tls in {policy.tls for policy in policies} - self._known.keys():
            if tls is not None:
                self._known[tls] = Trust(tls)
        await self.reread()

    async def reread(self) -> None:
        """Looks at all files."""
        for trust in tuple(self._known.values()):
            known = trust.ready
            try:
                if await asyncio.to_thread(trust.read) and known:
                    _log.info("tls: certificates read anew: %s", trust.files)
            except CertificateError as error:
                _log.warning("tls: %s%s", error, "; the certificates read before stay in force" if known else "")

    def keep_only(self, policies: Iterable[ServicePolicy]) -> None:
        """Forgets what no service wants any more; connections that are open know theirs."""
        wanted = {policy.tls for policy in policies}
        self._known = {tls: trust for tls, trust in self._known.items() if tls in wanted}
