"""The certificates of a configuration, and their replacement."""

import logging
from pathlib import Path

import pytest

from sidecar.app.trusts import Trusts
from sidecar.cluster.policy import ServicePolicy, Tls
from tests.support.certificates import Authority


def services(*sections: Tls | None) -> list[ServicePolicy]:
    return [ServicePolicy(f"service-{number}", tls=tls) for number, tls in enumerate(sections)]


async def test_equal_sections_share_what_they_are_made_into(tmp_path: Path) -> None:
    """Two hundred services with one default load one context."""
    authority = Authority(tmp_path)
    one, same, other = Tls(ca_file=authority.file), Tls(ca_file=authority.file), Tls(verify=False)
    trusts = Trusts()
    await trusts.prepare(services(one, same, other, None))
    assert repr(trusts) == "<Trusts 2>"
    assert trusts.of(one) is trusts.of(same) is not trusts.of(other)
    assert trusts.of(None) is None
    kept = trusts.of(one)
    trusts.keep_only(services(one))
    assert repr(trusts) == "<Trusts 1>"
    await trusts.prepare(services(one, other))
    assert trusts.of(one) is kept


async def test_a_replacement_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """And one that will not do, once; the beginning is not."""
    caplog.set_level(logging.INFO, "sidecar")
    authority = Authority(tmp_path)
    good, other = authority.file.read_bytes(), Authority(tmp_path, "other").file.read_bytes()
    trusts = Trusts()
    await trusts.prepare(services(Tls(ca_file=authority.file)))
    for content in (good, b"odd", b"odd", other):
        authority.file.write_bytes(content)
        await trusts.reread()
    assert [record.getMessage() for record in caplog.records] == [
        f"tls: {authority.file}: no certificates in PEM form; the certificates read before stay in force",
        f"tls: certificates read anew: {authority.file}",
    ]
