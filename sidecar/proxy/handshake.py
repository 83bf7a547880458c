"""Why a TLS handshake failed, in words, with what to do about it: OpenSSL's own say little to whoever has to act."""

import ssl
from collections.abc import Mapping
from types import MappingProxyType

_WRONG_NAME = "the certificate of the instance is not for {name}: set tls.server_name to a name that it has"
_UNKNOWN_CA = "the certificate of the instance is from an authority that is not trusted: name that one in tls.ca_file"

_VERIFY: Mapping[int, str] = MappingProxyType(
    {
        9: "the certificate of the instance, or of its authority, is not valid yet: look at the clocks",
        10: "the certificate of the instance, or of its authority, has expired: renew it",
        18: "the certificate of the instance is self-signed: name it in tls.ca_file",
        19: _UNKNOWN_CA,
        20: _UNKNOWN_CA,
        21: _UNKNOWN_CA,
        62: _WRONG_NAME,
        64: _WRONG_NAME,
    }
)
"""By X509_V_ERR_*: what we have against the instance's certificate."""

_NO_CERTIFICATE = "the instance wants to know us by a certificate: set tls.cert_file and tls.key_file"
_BAD_CERTIFICATE = "the instance does not accept our certificate: is tls.cert_file from an authority that it trusts?"
_NO_COMMON_GROUND = "the instance and we have no version or cipher of TLS in common: it has to speak TLS 1.2 or 1.3"
_NOT_TLS = "the instance does not speak TLS on this port: take 'tls' out, or register the port that does"

_REASONS: Mapping[str, str] = MappingProxyType(
    {
        "TLSV13_ALERT_CERTIFICATE_REQUIRED": _NO_CERTIFICATE,
        "SSLV3_ALERT_BAD_CERTIFICATE": _BAD_CERTIFICATE,
        "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": _BAD_CERTIFICATE,
        "SSLV3_ALERT_CERTIFICATE_UNKNOWN": _BAD_CERTIFICATE,
        "SSLV3_ALERT_CERTIFICATE_EXPIRED": "the instance finds our certificate expired: renew tls.cert_file",
        "SSLV3_ALERT_CERTIFICATE_REVOKED": "the instance finds our certificate revoked: renew tls.cert_file",
        "TLSV1_ALERT_UNKNOWN_CA": _BAD_CERTIFICATE,
        "TLSV1_ALERT_DECRYPT_ERROR": _BAD_CERTIFICATE,
        "TLSV1_ALERT_ACCESS_DENIED": "the instance knows our certificate and denies access: let it in there",
        # What servers of TLS 1.2 say without a certificate, and all say without a common cipher.
        "SSLV3_ALERT_HANDSHAKE_FAILURE": "the instance broke the handshake off: it wants a certificate of ours "
        "(tls.cert_file), or has no cipher in common with us",
        "TLSV1_UNRECOGNIZED_NAME": "the instance knows no {name}: set tls.server_name to a name that it serves",
        "TLSV1_ALERT_PROTOCOL_VERSION": _NO_COMMON_GROUND,
        "UNSUPPORTED_PROTOCOL": _NO_COMMON_GROUND,
        "WRONG_VERSION_NUMBER": _NOT_TLS,
        "HTTP_REQUEST": _NOT_TLS,
        "PACKET_LENGTH_TOO_LONG": _NOT_TLS,
        "RECORD_LAYER_FAILURE": _NOT_TLS,
    }
)
"""By OpenSSL's reason: what the instance has against us, or is."""


def cause_of(error: BaseException, name: str) -> str:
    """A sentence about a failed handshake with an instance that was asked for as `name`."""
    if isinstance(error, ssl.SSLCertVerificationError):
        known = _VERIFY.get(error.verify_code)
        return known.format(name=name) if known else f"the certificate of the instance: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        known = _REASONS.get(error.reason or "")
        return known.format(name=name) if known else f"the handshake failed: {error.reason or error}"
    if isinstance(error, ConnectionError):
        return "the instance hung up during the handshake: does it speak TLS on this port?"
    return str(error)
