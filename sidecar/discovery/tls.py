"""TLS towards the registry: what the YAML names becomes a context for HTTP and byte strings for gRPC.

Files are read anew for each session, so a rotated certificate is in use within the hour at the latest.

gRPC knows no way to leave a certificate unchecked. With `verify: false` the server is asked for its certificate first,
and exactly that one is then trusted, under a name that it carries. The one thing that gRPC still refuses is a
certificate that has expired.
"""

import asyncio
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sidecar.certificates import CertificateError, client_context
from sidecar.discovery.options import Tls
from sidecar.discovery.session import Unanswered


@dataclass(frozen=True, slots=True)
class Trust:
    """What a gRPC channel is made of: PEM texts, and the name to ask for and to check."""

    roots: bytes | None
    key: bytes | None
    chain: bytes | None
    name: str | None


def context(tls: Tls) -> ssl.SSLContext:
    """For HTTP; reads files, and the system's store takes its time. Raises Unanswered."""
    try:
        return client_context(ca_file=tls.ca_file, cert_file=tls.cert_file, key_file=tls.key_file, verify=tls.verify)
    except CertificateError as error:
        raise Unanswered(f"tls: {error}") from error


async def trust(tls: Tls, host: str, port: int) -> Trust:
    """For a gRPC channel to that port; raises Unanswered."""
    key, chain = _read(tls.key_file or tls.cert_file) if tls.cert_file else None, _read(tls.cert_file)
    if tls.verify:
        return Trust(_read(tls.ca_file or _system_store()), key, chain, tls.server_name)
    try:
        der = await _peer_certificate(await asyncio.to_thread(context, tls), host, port, binary=True)
        roots = ssl.DER_cert_to_PEM_cert(der)
        exactly = await asyncio.to_thread(context, tls)
        exactly.verify_mode = ssl.CERT_REQUIRED
        exactly.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        exactly.load_verify_locations(cadata=roots)
        name = _a_name_of(await _peer_certificate(exactly, host, port, binary=False))
    except OSError as error:
        raise Unanswered(f"tls: {error}") from error
    return Trust(roots.encode(), key, chain, name)


async def _peer_certificate(made: ssl.SSLContext, host: str, port: int, *, binary: bool) -> Any:
    _, writer = await asyncio.open_connection(host, port, ssl=made)
    try:
        return writer.get_extra_info("ssl_object").getpeercert(binary)
    finally:
        writer.transport.abort()


def _a_name_of(certificate: dict[str, Any]) -> str | None:
    """A name that the certificate is good for; a wildcard stands for any label."""
    subject = {kind: text for part in certificate.get("subject", ()) for kind, text in part}
    names = [text for _, text in certificate.get("subjectAltName", ())] or [subject.get("commonName", "")]
    return names[0].replace("*", "any") or None


def _read(file: Path | None) -> bytes | None:
    try:
        return file.read_bytes() if file is not None else None
    except OSError as error:
        raise Unanswered(f"tls: {file}: {error.strerror}") from error


def _system_store() -> Path | None:
    """GRPC brings a store of its own, which knows nothing of what was installed here."""
    file = ssl.get_default_verify_paths().cafile
    return Path(file) if file else None
