"""Whom a service trusts and how it shows itself: a context made of files, and made anew when they change.

A certificate is rotated by replacing its file. New connections use what is there now; files that will not do (one of
two is replaced already, the other not yet) leave the context that was good.
"""

import asyncio
import hashlib
import ssl
from collections.abc import Callable

from sidecar.certificates import CertificateError, client_context
from sidecar.cluster.endpoint import Endpoint
from sidecar.cluster.policy import Tls
from sidecar.proxy.tls import TlsTransport

Wrap = Callable[[asyncio.Protocol], TlsTransport]
"""Puts TLS under a protocol; raises CertificateError or ValueError."""


class Trust:
    """What one `tls` section of the YAML amounts to; services with equal sections share it."""

    __slots__ = ("_context", "_problem", "_seen", "tls")

    def __init__(self, tls: Tls) -> None:
        """Nothing is read yet: `read` may take its time."""
        self.tls = tls
        self._context: ssl.SSLContext | None = None
        self._problem: CertificateError | None = None
        self._seen: bytes | None = None

    def __repr__(self) -> str:
        state = "ready" if self.ready else "not usable" if self._problem else "not read"
        return f"<Trust {self.files or 'of the system'}, {state}>"

    @property
    def files(self) -> str:
        """Their paths."""
        found = (self.tls.ca_file, self.tls.cert_file, self.tls.key_file)
        return ", ".join(str(file) for file in found if file is not None)

    @property
    def ready(self) -> bool:
        """It has been made of files that will do."""
        return self._context is not None

    def read(self) -> bool:
        """Looks at the files, and makes the context anew if they have changed; whether it did. For a thread.

        Raises CertificateError, once for each content that will not do.
        """
        seen = self._fingerprint()
        if seen == self._seen:
            return False
        self._seen = seen
        tls = self.tls
        try:
            self._context = client_context(
                ca_file=tls.ca_file, cert_file=tls.cert_file, key_file=tls.key_file, verify=tls.verify
            )
        except CertificateError as error:
            self._problem = error
            raise
        return True

    def name_of(self, endpoint: Endpoint) -> str:
        """What its certificate has to be for, and what it is asked for."""
        return self.tls.server_name or endpoint.instance.name or endpoint.host

    def towards(self, endpoint: Endpoint) -> Wrap:
        """For a dial of this endpoint."""
        name = self.name_of(endpoint)

        def wrap(above: asyncio.Protocol) -> TlsTransport:
            if self._context is None:
                raise self._problem or ValueError("tls: not read yet")
            return TlsTransport(self._context, name, above)

        return wrap

    def _fingerprint(self) -> bytes:
        """Of all contents, a file that cannot be read having none."""
        found = hashlib.sha256()
        for file in (self.tls.ca_file, self.tls.cert_file, self.tls.key_file):
            try:
                content = b"" if file is None else file.read_bytes()
            except OSError:
                content = b""
            found.update(b"%d:" % len(content) + content)
        return found.digest()
