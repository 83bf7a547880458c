"""Prints the rules, puts them in force, or takes them out again, with the tools of the machine.

Both are idempotent: what is there already is made anew or left, what is not there is not missed. IPv4 has to succeed.
IPv6 is done where the machine has it; where its tool fails, connections of that family go on as without us, and that
is said.
"""

import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from sidecar.config import ConfigError, load
from sidecar.config.report import as_text
from sidecar.exits import Exit
from sidecar.redirect.rules import (
    CHAIN,
    FAMILIES,
    IF_INET6,
    IPV4,
    JUMP,
    WAIT,
    Family,
    Redirect,
    chain,
    redirect_of,
    script,
)

OWN_USER = 65532
"""The sidecar's user in the image."""

_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")
"""Where the tools are, whatever PATH says."""

_NO_RIGHTS = 4
"""What iptables ends with when it may not: "resource problem"."""

Run = Callable[[Sequence[str], str], subprocess.CompletedProcess[str]]


class Outcome(NamedTuple):
    """Text for stdout and for stderr, and the exit code."""

    out: str
    err: str
    code: int


class RedirectError(Exception):
    """The rules cannot be changed; the text says why and what to do."""


def iptables(
    path: Path | None,
    *,
    environ: Mapping[str, str],
    action: Literal["print", "apply", "delete"],
    uid: int = OWN_USER,
) -> Outcome:
    """The command; raises `FlagError` on bad usage."""
    try:
        loaded = load(path, environ=environ)
    except ConfigError as error:
        return Outcome("", as_text(error.problems), Exit.CONFIG)
    redirect = redirect_of(loaded.config, uid)
    if action != "delete" and redirect is None:
        wrong = "not set" if loaded.config.transparent is None else "any free port cannot be redirected to"
        return Outcome(
            "", f"{loaded.path}: transparent: {wrong}: set it, to 127.0.0.1:15006 for example\n", Exit.CONFIG
        )
    if redirect is not None and action == "print":
        return Outcome(script(redirect), "", Exit.OK)
    try:
        remarks = Tables(_run).change(redirect if action == "apply" else None)
    except RedirectError as error:
        return Outcome("", f"nacos-sidecar iptables: {error}\n", Exit.INTERNAL)
    return Outcome("", "".join(f"nacos-sidecar iptables: {remark}\n" for remark in remarks), Exit.OK)


class Tables:
    """The rules of this network namespace."""

    def __init__(self, run: Run, *, has_ipv6: Callable[[], bool] | None = None) -> None:
        self._run = run
        self._has_ipv6 = has_ipv6 or _machine_has_ipv6

    def change(self, redirect: Redirect | None) -> list[str]:
        """Puts a redirect in force, or with None takes ours out; what to tell of it. Raises `RedirectError`."""
        remarks = []
        for family in FAMILIES:
            if family is not IPV4 and not self._has_ipv6():
                continue
            try:
                self._apply(family, redirect) if redirect is not None else self._delete(family)
            except RedirectError as error:
                if family is IPV4:
                    raise
                remarks.append(f"{family.name} is left as it is: {error}")
        return remarks

    def _apply(self, family: Family, redirect: Redirect) -> None:
        self._must([family.restore, "--noflush", *WAIT], chain(redirect, family))
        if not self._jumps(family):
            self._must([family.tool, *WAIT, "-t", "nat", "-A", *JUMP])

    def _delete(self, family: Family) -> None:
        self._must([family.tool, *WAIT, "-t", "nat", "-S", "OUTPUT"])  # whether it may at all
        while self._jumps(family):
            self._must([family.tool, *WAIT, "-t", "nat", "-D", *JUMP])
        if self._may([family.tool, *WAIT, "-t", "nat", "-S", CHAIN]):
            for what in ("-F", "-X"):
                self._must([family.tool, *WAIT, "-t", "nat", what, CHAIN])

    def _jumps(self, family: Family) -> bool:
        return self._may([family.tool, *WAIT, "-t", "nat", "-C", *JUMP])

    def _may(self, command: Sequence[str]) -> bool:
        return self._run(command, "").returncode == 0

    def _must(self, command: Sequence[str], text: str = "") -> None:
        try:
            done = self._run(command, text)
        except FileNotFoundError:
            raise RedirectError(_missing(command[0])) from None
        if done.returncode:
            raise RedirectError(_failed(command, done))


def _missing(tool: str) -> str:
    return (
        f"{tool} is not installed: install the package iptables, run this in an image that has it "
        "(the target redirect of the Dockerfile), or feed --print to a shell that does"
    )


def _failed(command: Sequence[str], done: subprocess.CompletedProcess[str]) -> str:
    said = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
    if done.returncode == _NO_RIGHTS and "ermission denied" in said:
        return (
            "the rules may not be changed without the capability NET_ADMIN: run as root, "
            f"in a pod in an init container with capabilities.add [NET_ADMIN] ({said})"
        )
    return f"{' '.join(command)}: {said}"


def _run(command: Sequence[str], text: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which(command[0]) or next(
        (found for folder in _FOLDERS if (found := shutil.which(command[0], path=folder))), None
    )
    if program is None:
        raise FileNotFoundError(command[0])
    return subprocess.run([program, *command[1:]], input=text, capture_output=True, text=True, check=False)  # noqa: S603 - words of ours


def _machine_has_ipv6() -> bool:
    try:
        return bool(Path(IF_INET6).read_bytes())
    except OSError:
        return False
