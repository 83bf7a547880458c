"""A context that follows its files."""

import asyncio
from pathlib import Path

import pytest

from sidecar.certificates import CertificateError
from sidecar.cluster.endpoint import Endpoint
from sidecar.cluster.instance import Instance
from sidecar.cluster.policy import Tls
from sidecar.proxy.trust import Trust
from tests.support.certificates import Authority


def towards(trust: Trust) -> object:
    """A transport over nothing."""
    return trust.towards(Endpoint(Instance("127.0.0.1", 1), 0.0))(asyncio.Protocol())


async def test_files_are_read_when_they_have_changed(tmp_path: Path) -> None:
    """Not at every look; connections to come use what was read last."""
    authority = Authority(tmp_path)
    trust = Trust(Tls(ca_file=authority.file))
    assert repr(trust) == f"<Trust {authority.file}, not read>"
    assert [trust.read(), trust.read()] == [True, False]
    before = trust._context
    towards(trust)
    authority.file.write_bytes(Authority(tmp_path, "other").file.read_bytes())
    assert [trust.read(), trust.read()] == [True, False]
    assert trust._context is not before
    assert repr(trust) == f"<Trust {authority.file}, ready>"


async def test_files_that_will_not_do_leave_what_was_good(tmp_path: Path) -> None:
    """Told once; a pair of which one is replaced first is whole again in the end."""
    authority = Authority(tmp_path)
    one, two = authority.issue("one"), authority.issue("two")
    trust = Trust(Tls(authority.file, one.cert_file, one.key_file))
    trust.read()
    one.cert_file.write_bytes(two.cert_file.read_bytes())
    with pytest.raises(CertificateError, match="not the key of the certificate"):
        trust.read()
    assert not trust.read()
    towards(trust)
    one.key_file.write_bytes(two.key_file.read_bytes())
    assert trust.read()


async def test_without_files_that_will_do_there_is_no_connection(tmp_path: Path) -> None:
    """The dial says why; once the file is there, it goes."""
    missing = tmp_path / "ca.pem"
    trust = Trust(Tls(ca_file=missing))
    with pytest.raises(CertificateError):
        trust.read()
    with pytest.raises(CertificateError, match="No such file"):
        towards(trust)
    missing.write_bytes(Authority(tmp_path, "other").file.read_bytes())
    assert trust.read()
    towards(trust)


def test_an_instance_is_asked_for_by_the_name_that_is_known() -> None:
    """That of the YAML before that of a static list before its address."""
    named, bare = (Endpoint(Instance("10.0.0.1", 1, name=name), 0.0) for name in ("db.internal", None))
    assert Trust(Tls(server_name="orders")).name_of(named) == "orders"
    assert Trust(Tls()).name_of(named) == "db.internal"
    assert Trust(Tls()).name_of(bare) == "10.0.0.1"
