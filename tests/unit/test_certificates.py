"""Files that make a context, and what is said of those that do not."""

import ssl
from pathlib import Path

import pytest

from sidecar.certificates import CertificateError, client_context
from tests.support.certificates import Authority, Certificate


@pytest.fixture
def ca(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def ours(ca: Authority) -> Certificate:
    return ca.issue("sidecar")


def made(
    ca_file: Path | None = None, cert_file: Path | None = None, key_file: Path | None = None, *, verify: bool = True
) -> ssl.SSLContext:
    return client_context(ca_file=ca_file, cert_file=cert_file, key_file=key_file, verify=verify)


def test_an_authority_is_all_that_is_trusted(ca: Authority) -> None:
    """Nothing of the system's store is, and names are checked; a remark in another script does no harm."""
    ca.file.write_bytes("# Zertifizierungsstelle Köln 証明書\n".encode() + ca.file.read_bytes())
    context = made(ca.file)
    assert len(context.get_ca_certs()) == 1
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_without_an_authority_the_system_is_trusted(monkeypatch: pytest.MonkeyPatch, ca: Authority) -> None:
    """Wherever its store is."""
    monkeypatch.setenv("SSL_CERT_FILE", str(ca.file))
    monkeypatch.setenv("SSL_CERT_DIR", str(ca.file.parent / "none"))
    assert len(made().get_ca_certs()) == 1


def test_unverified_takes_anybody(ca: Authority) -> None:
    """With an authority or without."""
    for context in (made(verify=False), made(ca.file, verify=False)):
        assert not context.check_hostname
        assert context.verify_mode is ssl.CERT_NONE


def test_a_key_may_stand_beside_its_certificate(tmp_path: Path, ours: Certificate) -> None:
    """One file for both, or one for each."""
    both = tmp_path / "both.pem"
    both.write_bytes(ours.key_file.read_bytes() + ours.cert_file.read_bytes())
    made(cert_file=both)
    made(cert_file=ours.cert_file, key_file=ours.key_file)


def test_what_is_wrong_is_said_of_the_file(tmp_path: Path, ca: Authority, ours: Certificate) -> None:
    """By its key in the YAML and by its path, in words for people."""
    none, odd, folder = tmp_path / "none.pem", tmp_path / "odd.pem", tmp_path / "folder"
    odd.write_text("-----BEGIN NOTHING-----\n")
    folder.mkdir()
    broken = tmp_path / "broken.pem"
    broken.write_text("-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n")
    locked = tmp_path / "locked.key"
    locked.write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\nMII\n-----END ENCRYPTED PRIVATE KEY-----\n")
    other = ca.issue("other")
    cases: list[tuple[tuple[Path | None, ...], str, Path, str]] = [
        ((none,), "ca_file", none, "cannot be read: No such file or directory"),
        ((folder,), "ca_file", folder, "cannot be read: Is a directory"),
        ((odd,), "ca_file", odd, "no certificates in PEM form"),
        ((broken,), "ca_file", broken, "no certificates in PEM form"),
        ((None, none, ours.key_file), "cert_file", none, "cannot be read: No such file or directory"),
        ((None, odd, ours.key_file), "cert_file", odd, "no certificate in PEM form"),
        ((None, broken, ours.key_file), "cert_file", broken, "not usable with the key: "),
        ((None, ours.cert_file, none), "key_file", none, "cannot be read: No such file or directory"),
        ((None, ours.cert_file, odd), "key_file", odd, "no private key in PEM form"),
        ((None, ours.cert_file), "cert_file", ours.cert_file, "no private key in PEM form"),
        ((None, ours.cert_file, locked), "key_file", locked, "the key is encrypted: give it without a passphrase"),
        (
            (None, ours.cert_file, other.key_file),
            "key_file",
            other.key_file,
            f"not the key of the certificate in {ours.cert_file}",
        ),
    ]
    for files, name, file, problem in cases:
        with pytest.raises(CertificateError) as caught:
            made(*files)
        assert (caught.value.key, str(caught.value)[: len(f"{file}: {problem}")]) == (name, f"{file}: {problem}")
