"""TLS of the embedded registry, for HTTP and gRPC alike or for gRPC alone."""

import ssl
from dataclasses import dataclass
from pathlib import Path

import grpc


@dataclass(frozen=True, slots=True)
class ServerTls:
    """Certificate and key as PEM files; with `client_ca_file` only clients with a certificate of it are let in."""

    cert_file: Path
    key_file: Path
    client_ca_file: Path | None = None
    http: bool = True
    """False: HTTP is plain, as with a Java server in whose configuration only `rpc.tls` is on."""

    def context(self) -> ssl.SSLContext | None:
        """For the HTTP side; None: it is plain."""
        if not self.http:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=self.client_ca_file)
        context.load_cert_chain(self.cert_file, self.key_file)
        if self.client_ca_file is not None:
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def credentials(self) -> grpc.ServerCredentials:
        """For the gRPC side."""
        pair = (self.key_file.read_bytes(), self.cert_file.read_bytes())
        if self.client_ca_file is None:
            return grpc.ssl_server_credentials([pair])
        return grpc.ssl_server_credentials([pair], self.client_ca_file.read_bytes(), require_client_auth=True)
