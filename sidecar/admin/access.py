"""Who may ask what of the admin port (pure).

Why: the port is open to the pod's network, for probes and scrapes. Whatever else it tells or does is for people who are
already inside the pod. A page in somebody's browser is on loopback too when a port is forwarded. It may read nothing
under a name that it has bound to that address: the Host gives it away. And it may change nothing by a request across
sites: browsers tell of those by Origin or Sec-Fetch-Site, which tools do not send.
"""

import ipaddress
from collections.abc import Collection


def refusal(
    path: str, names: Collection[str], *, peer: str, host: str | None, allow_remote: Collection[str]
) -> str | None:
    """Why this request is refused, None when it is not.

    `names` are those of the path in `admin.allow_remote`, none where that cannot open it; `peer` is an IP address,
    `host` the Host header.
    """
    if any(name in allow_remote for name in names):
        return None
    if not is_loopback(peer):
        return f"only from loopback: {path}"
    if host is None or not is_literal(host):
        return f"only under an IP address or localhost as Host: {path}"
    return None


def from_a_page(method: str, *, origin: str | None, fetch_site: str | None) -> bool:
    """Whether a browser sends this change on behalf of a page from elsewhere."""
    if method in {"GET", "HEAD"}:
        return False
    return fetch_site not in {"same-origin", "none"} if fetch_site is not None else origin is not None


def is_loopback(peer: str) -> bool:
    """Whether an address is of this host, also as IPv4 inside IPv6; False for what is no address."""
    address = _address(peer.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return address is not None and (mapped or address).is_loopback


def is_literal(host: str) -> bool:
    """Whether a Host header names an IP address or `localhost`, with or without a port."""
    if host.startswith("["):
        return _address(host[1:].partition("]")[0]) is not None
    name = host.partition(":")[0]
    return name.lower() == "localhost" or _address(name) is not None


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
