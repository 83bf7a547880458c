"""The words for failed handshakes; tests/integration/proxy/test_tls.py has them from real ones."""

import ssl

import pytest

from sidecar.proxy import handshake
from sidecar.proxy.handshake import cause_of
from sidecar.proxy.tls import _REFUSALS


def openssl(reason: str) -> ssl.SSLError:
    """An error as OpenSSL's own have it."""
    error = ssl.SSLError(1, f"[SSL: {reason}] …")
    error.reason = reason
    return error


def verification(code: int, message: str = "odd") -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "…")
    error.verify_code, error.verify_message = code, message
    return error


def test_the_name_that_was_asked_for_is_told() -> None:
    """It is what has to be compared with the certificate."""
    assert cause_of(verification(62), "orders.internal").startswith(
        "the certificate of the instance is not for orders.internal: "
    )
    assert "orders.internal" in cause_of(openssl("TLSV1_UNRECOGNIZED_NAME"), "orders.internal")


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (verification(23, "certificate revoked"), "the certificate of the instance: certificate revoked"),
        (openssl("BAD_ECPOINT"), "the handshake failed: BAD_ECPOINT"),
        (ConnectionResetError(), "the instance hung up during the handshake: does it speak TLS on this port?"),
        (OSError(5, "odd"), "[Errno 5] odd"),
    ],
)
def test_what_has_no_words_of_ours_has_openssls(error: Exception, cause: str) -> None:
    """Never an empty sentence."""
    assert cause_of(error, "a") == cause


def test_every_late_refusal_has_words() -> None:
    """An alert that turns a request into a failed handshake says why."""
    assert handshake._REASONS.keys() >= _REFUSALS
