"""Certificates and keys in files become a context for clients; what is wrong with them is said of the very file."""

import ssl
from pathlib import Path


class CertificateError(Exception):
    """A file that will not do; `key` is its key in the YAML."""

    def __init__(self, key: str, file: Path, problem: str) -> None:
        super().__init__(f"{file}: {problem}")
        self.key = key
        self.problem = problem


def client_context(
    *, ca_file: Path | None, cert_file: Path | None, key_file: Path | None, verify: bool
) -> ssl.SSLContext:
    """Reads files, and without a `ca_file` the system's store: some milliseconds. Raises CertificateError.

    TLS 1.2 or later. What stands in `ca_file` is trusted, a root or not, and nothing else. A certificate without a
    `key_file` has its key in its own file.
    """
    found = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    found.options |= ssl.OP_NO_RENEGOTIATION  # nothing has to be read before something can be written
    if not verify:
        found.check_hostname = False
        found.verify_mode = ssl.CERT_NONE
    elif ca_file is None:
        found.load_default_certs()
    if ca_file is not None:
        _trust(found, ca_file)
    if cert_file is not None:
        _show(found, cert_file, key_file or cert_file)
    return found


def _trust(context: ssl.SSLContext, ca_file: Path) -> None:
    _text("ca_file", ca_file)
    try:
        context.load_verify_locations(ca_file)
    except OSError as error:  # SSLError among them
        raise CertificateError("ca_file", ca_file, "no certificates in PEM form") from error
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN


def _show(context: ssl.SSLContext, cert_file: Path, key_file: Path) -> None:
    key = "key_file" if key_file != cert_file else "cert_file"
    if "-----BEGIN CERTIFICATE-----" not in _text("cert_file", cert_file):
        raise CertificateError("cert_file", cert_file, "no certificate in PEM form")
    secret = _text(key, key_file)
    if "PRIVATE KEY-----" not in secret:
        raise CertificateError(key, key_file, "no private key in PEM form")
    if "ENCRYPTED" in secret:  # OpenSSL would ask for the passphrase on the terminal
        raise CertificateError(key, key_file, "the key is encrypted: give it without a passphrase")
    try:
        context.load_cert_chain(cert_file, key_file)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise CertificateError(key, key_file, f"not the key of the certificate in {cert_file}") from error
        raise CertificateError("cert_file", cert_file, f"not usable with the key: {error.reason or error}") from error
    except OSError as error:  # gone since it was read
        raise CertificateError("cert_file", cert_file, f"cannot be read: {error.strerror}") from error


def _text(key: str, file: Path) -> str:
    try:
        return file.read_text("latin-1")  # whatever stands around the blocks of PEM
    except OSError as error:
        raise CertificateError(key, file, f"cannot be read: {error.strerror}") from error
