"""Who may ask what, as a table."""

import pytest

from sidecar.admin.access import from_a_page, is_literal, is_loopback, refusal

OPEN = ["healthz", "readyz", "metrics"]


@pytest.mark.parametrize(
    ("peer", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("::ffff:10.0.0.1", False),
        ("10.0.0.1", False),
        ("fe80::1%eth0", False),
        ("0.0.0.0", False),
        ("", False),
    ],
)
def test_loopback_is_judged_by_address(peer: str, loopback: bool) -> None:  # noqa: FBT001
    """Also where IPv4 comes in through an IPv6 socket; an unknown peer is remote."""
    assert is_loopback(peer) is loopback


@pytest.mark.parametrize(
    ("host", "literal"),
    [
        ("127.0.0.1", True),
        ("127.0.0.1:19901", True),
        ("10.0.0.1:80", True),
        ("[::1]:19901", True),
        ("[::1]", True),
        ("localhost", True),
        ("LOCALHOST:19901", True),
        ("evil.example", False),
        ("localhost.evil.example:80", False),
        ("127.0.0.1.evil.example", False),
        ("[evil]", False),
        ("", False),
    ],
)
def test_a_host_is_literal_when_no_name_server_was_asked(host: str, literal: bool) -> None:  # noqa: FBT001
    """A name that an attacker's DNS points at loopback does not pass."""
    assert is_literal(host) is literal


@pytest.mark.parametrize(
    ("names", "peer", "host", "said"),
    [
        (["metrics"], "10.0.0.1", "pod.cluster.local", None),
        (["live", "healthz"], "10.0.0.1", None, None),
        (["clusters"], "10.0.0.1", "10.0.0.2:19901", "only from loopback: /p"),
        ([], "10.0.0.1", "10.0.0.2:19901", "only from loopback: /p"),
        (["clusters"], "127.0.0.1", "127.0.0.1:19901", None),
        (["clusters"], "127.0.0.1", "evil.example", "only under an IP address or localhost as Host: /p"),
        (["clusters"], "127.0.0.1", None, "only under an IP address or localhost as Host: /p"),
        ([], "::1", "localhost", None),
    ],
)
def test_the_rule_as_a_table(names: list[str], peer: str, host: str | None, said: str | None) -> None:
    """Open paths are open to all; the rest is for loopback under a literal Host."""
    assert refusal("/p", names, peer=peer, host=host, allow_remote=OPEN) == said


@pytest.mark.parametrize(
    ("method", "origin", "fetch_site", "refused"),
    [
        ("POST", None, None, False),
        ("POST", "http://evil.example", None, True),
        ("POST", "null", None, True),
        ("POST", "http://evil.example", "cross-site", True),
        ("POST", None, "cross-site", True),
        ("POST", None, "same-site", True),
        ("POST", "http://127.0.0.1:19901", "same-origin", False),
        ("POST", None, "none", False),
        ("GET", "http://evil.example", "cross-site", False),
        ("HEAD", None, "cross-site", False),
    ],
)
def test_a_page_from_elsewhere_changes_nothing(
    method: str, origin: str | None, fetch_site: str | None, *, refused: bool
) -> None:
    """A change is refused when a browser says that another site's page sent it; tools and our own page are heard."""
    assert from_a_page(method, origin=origin, fetch_site=fetch_site) is refused
