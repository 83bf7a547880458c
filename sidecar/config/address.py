"""Addresses as they stand in the YAML, in variables and in flags: `host:port`, `[v6]:port`."""

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

_SPLIT: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+(?:%[A-Za-z0-9]+)?)\]|([^\[\]:]+))(?::([0-9]{1,5}))?")
_NAME: Final = re.compile(
    r"(?=.{1,253}\Z)[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*"
)
_DIGITS: Final = re.compile(r"[0-9.]+")


@dataclass(frozen=True, slots=True)
class Address:
    """A host (name or IP literal, v6 without brackets) and a port; 0 = any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this host can reach it."""
        return self.host.lower() == "localhost" or (_is_ip(self.host) and ipaddress.ip_address(self.host).is_loopback)

    @property
    def is_wildcard(self) -> bool:
        """Whether it stands for every interface."""
        return _is_ip(self.host) and ipaddress.ip_address(self.host).is_unspecified

    def collides(self, other: "Address") -> bool:
        """Whether both cannot be bound at once: one port on one interface; port 0 never."""
        if self.port != other.port or self.port == 0:
            return False
        return self.is_wildcard or other.is_wildcard or _canonical(self.host) == _canonical(other.host)


def listen_address(text: object) -> Address:
    """An address to bind; port 0 = any free one."""
    return _read(text, "an address such as 127.0.0.1:15001 or '[::1]:15001'", lowest=0)


def remote_address(text: object) -> Address:
    """An address to dial."""
    return _read(text, "an address with a port, such as 10.0.0.1:8080 or db.internal:5432", lowest=1)


def server_address(text: object) -> Address:
    """A registry server; without a port it is 8848."""
    return _read(text, "a server such as nacos.internal:8848", lowest=1, port=8848)


def _read(text: object, expected: str, *, lowest: int, port: int | None = None) -> Address:
    match = _SPLIT.fullmatch(text.strip(" ")) if isinstance(text, str) else None
    if match is None:
        raise ValueError(expected)
    host = match[1] or match[2]
    number = int(match[3]) if match[3] else port
    known = _is_ip(host) if match[1] or _DIGITS.fullmatch(host) else _NAME.fullmatch(host)
    if not known or number is None or not lowest <= number <= 65535:
        raise ValueError(expected)
    return Address(host, number)


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _canonical(host: str) -> str:
    return (
        "127.0.0.1"
        if host.lower() == "localhost"
        else str(ipaddress.ip_address(host))
        if _is_ip(host)
        else host.lower()
    )
