"""The rules as texts. Pure: which they are, and how they are put into a shell script.

A chain of our own in the table `nat` holds them; the chain OUTPUT, which sees what this host's processes send, jumps to it.
So one command fills the chain at once (`iptables-restore`), and one puts it in force or out of it, whatever rules
others have there.

    loopback ─▶ as it is      the sidecar's user ─▶ as it is      ports of the registry and of the admin endpoint ─▶ as it is
    all other TCP ─▶ the transparent listener
"""

from dataclasses import dataclass

from sidecar.config import Config

CHAIN = "NACOS_SIDECAR"

JUMP = ("OUTPUT", "-p", "tcp", "-j", CHAIN)
"""What puts the chain in force."""

WAIT = ("--wait", "5")
"""Seconds in which somebody else may hold the lock of iptables."""

IF_INET6 = "/proc/net/if_inet6"
"""Empty, or not there, where the machine has no IPv6."""


@dataclass(frozen=True, slots=True)
class Family:
    """One of the two tools, and what loopback is to it."""

    name: str
    tool: str
    loopback: str

    @property
    def restore(self) -> str:
        """The one that takes many rules at once."""
        return f"{self.tool}-restore"


IPV4 = Family("IPv4", "iptables", "127.0.0.0/8")
IPV6 = Family("IPv6", "ip6tables", "::1/128")
FAMILIES = (IPV4, IPV6)


@dataclass(frozen=True, slots=True)
class Redirect:
    """What the rules are made of: where to, whose traffic not, and to which ports not."""

    to_port: int
    uid: int
    spared_ports: tuple[int, ...]


def redirect_of(config: Config, uid: int) -> Redirect | None:
    """As the configuration wants it; None when it has no transparent listener with a port of its own."""
    if config.transparent is None or not config.transparent.port:
        return None
    registry = {server.port for server in config.nacos.server_addresses}
    grpc = {port + config.nacos.grpc_port_offset for port in registry}
    admin = {config.admin.listen.port} - {0}
    return Redirect(config.transparent.port, uid, tuple(sorted(registry | grpc | admin)))


def chain(redirect: Redirect, family: Family) -> str:
    """For `iptables-restore --noflush`: our chain anew, at once, and nothing else touched."""
    spared = [f"-A {CHAIN} -p tcp -m tcp --dport {port} -j RETURN" for port in redirect.spared_ports]
    lines = (
        "*nat",
        f":{CHAIN} - [0:0]",
        f"-A {CHAIN} -d {family.loopback} -j RETURN",
        f"-A {CHAIN} -m owner --uid-owner {redirect.uid} -j RETURN",
        *spared,
        f"-A {CHAIN} -p tcp -j REDIRECT --to-ports {redirect.to_port}",
        "COMMIT",
    )
    return "".join(f"{line}\n" for line in lines)


def script(redirect: Redirect) -> str:
    """What `--apply` does, for a shell: it fails where IPv4 does; where IPv6 does, that is said."""
    return (
        f"{_commands(redirect, IPV4)} &&\n"
        f"if grep -q . {IF_INET6} 2> /dev/null; then\n"
        f"{_commands(redirect, IPV6)} || echo 'IPv6 is left as it is' >&2\n"
        "fi\n"
    )


def _commands(redirect: Redirect, family: Family) -> str:
    return (
        f"{family.restore} --noflush {' '.join(WAIT)} <<'RULES' &&\n{chain(redirect, family)}RULES\n"
        f"{{ {_shell(family, '-C')} 2> /dev/null || {_shell(family, '-A')}; }}"
    )


def _shell(family: Family, what: str) -> str:
    return " ".join((family.tool, *WAIT, "-t", "nat", what, *JUMP))
