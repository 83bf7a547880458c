"""Signatures of requests."""

from pathlib import Path

import pytest

from sidecar.discovery.credentials import AccessKey, Secret
from sidecar.discovery.session import ServiceKey
from sidecar.discovery.signing import Signer, signed

ORDERS = ServiceKey("orders", "DEFAULT_GROUP")


def test_what_is_signed_and_how_is_fixed_by_the_wire() -> None:
    """One vector, computed with openssl: time in milliseconds, group and service; HMAC-SHA1; base64."""
    assert signed("key", "hush", ORDERS, wall=1700000000.1239) == {
        "ak": "key",
        "data": "1700000000123@@DEFAULT_GROUP@@orders",
        "signature": "8zhAVEO4Olp5D6s+Jc4sNbzD760=",
    }


def test_without_a_secret_nothing_is_signed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The file that is missing is named once; when it is there, the next refusal finds it."""
    file = tmp_path / "secret"
    signer = Signer(AccessKey("key", Secret(file=file)))
    assert signer.headers(ORDERS, wall=1.0) == {}
    assert not signer.refused()
    assert [record.getMessage() for record in caplog.records] == [
        f"registry: requests are not signed: {file}: No such file or directory"
    ]
    file.write_text("hush\n")
    assert signer.refused()
    assert signer.headers(ORDERS, wall=1.0) == signed("key", "hush", ORDERS, wall=1.0)
    assert repr(signer) == "<Signer key>"
