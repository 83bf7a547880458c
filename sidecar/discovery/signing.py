"""Signs requests with an access key, as clients of managed registries do. No clock: `wall` is an argument.

Signed is `<ms>@@<group>@@<service>`, by HMAC-SHA1 and in base64. The secret is read once and again when it was refused.
"""

import base64
import hashlib
import hmac
import logging
from collections.abc import Mapping

from sidecar.discovery.credentials import AccessKey, SecretError
from sidecar.discovery.session import ServiceKey

_log = logging.getLogger("sidecar")


def signed(key_id: str, secret: str, key: ServiceKey, *, wall: float) -> dict[str, str]:
    """What a request about `key` shows at `wall` seconds since the epoch."""
    data = f"{int(wall * 1000)}@@{key.group}@@{key.name}"
    digest = hmac.new(secret.encode(), data.encode(), hashlib.sha1).digest()
    return {"ak": key_id, "data": data, "signature": base64.b64encode(digest).decode()}


class Signer:
    """One access key; without a readable secret nothing is signed, and the event log says so once."""

    def __init__(self, access_key: AccessKey) -> None:
        self._key = access_key
        self._complaint: str | None = None
        self._secret = self._read()

    def __repr__(self) -> str:
        return f"<Signer {self._key.id}>"

    def headers(self, key: ServiceKey, *, wall: float) -> Mapping[str, str]:
        """What to show with a request about `key`."""
        return signed(self._key.id, self._secret, key, wall=wall) if self._secret else {}

    def refused(self) -> bool:
        """A signature was not accepted; True when the file holds another secret by now."""
        before, self._secret = self._secret, self._read()
        return bool(self._secret) and self._secret != before

    def _read(self) -> str:
        try:
            secret = self._key.secret.read()
        except SecretError as error:
            if str(error) != self._complaint:
                self._complaint = str(error)
                _log.warning("registry: requests are not signed: %s", error)
            return ""
        self._complaint = None
        return secret
