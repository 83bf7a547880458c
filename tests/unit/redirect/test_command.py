"""The command, with tools that only say what the test wants."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from sidecar.redirect.command import RedirectError, Tables, iptables
from sidecar.redirect.rules import IPV4, Redirect, chain, script
from tests.support.configs import MINIMAL, NOTHING, written

REDIRECT = Redirect(15006, 65532, (8848,))
DENIED = "iptables v1.8.9 (nf_tables): Could not fetch rule set generation id: Permission denied (you must be root)\n"


class Machine:
    """Answers as told by the first word of a command; knows a jump that was added."""

    def __init__(self, **answers: tuple[int, str]) -> None:
        self.answers = answers
        self.said: list[str] = []
        self.texts: list[str] = []
        self.jumps: set[str] = set()
        self.missing: set[str] = set()

    def __call__(self, command: Sequence[str], text: str) -> subprocess.CompletedProcess[str]:
        if command[0] in self.missing:
            raise FileNotFoundError(command[0])
        words = [word for word in command if word not in {"--wait", "5", "-t", "nat", "--noflush"}]
        self.said.append(" ".join(words[:3]))
        self.texts += [text] if text else []
        code, error = self.answers.get(command[0].replace("-", "_"), (0, ""))
        if not code:
            code = self._of_jump(words)
        return subprocess.CompletedProcess(command, code, "", error)

    def _of_jump(self, words: Sequence[str]) -> int:
        tool, what = words[0], words[1] if len(words) > 1 else ""
        if what == "-A":
            self.jumps.add(tool)
        known = tool in self.jumps
        if what == "-D":
            self.jumps.discard(tool)
        return int(what in {"-C", "-D"} and not known)


def tables(machine: Machine, *, ipv6: bool = False) -> Tables:
    return Tables(machine, has_ipv6=lambda: ipv6)


def test_apply_fills_the_chain_and_jumps_to_it_once() -> None:
    """The jump is left where it is."""
    machine = Machine()
    for _ in range(2):
        assert tables(machine).change(REDIRECT) == []
    assert machine.said == [
        *("iptables-restore", "iptables -C OUTPUT", "iptables -A OUTPUT"),
        *("iptables-restore", "iptables -C OUTPUT"),
    ]
    assert machine.texts == [chain(REDIRECT, IPV4)] * 2


def test_delete_takes_the_jump_out_first() -> None:
    """However often it stands there; and without a chain there is nothing to do."""
    machine = Machine()
    tables(machine).change(REDIRECT)
    machine.said.clear()
    tables(machine).change(None)
    assert machine.said == [
        *("iptables -S OUTPUT", "iptables -C OUTPUT", "iptables -D OUTPUT", "iptables -C OUTPUT"),
        *("iptables -S NACOS_SIDECAR", "iptables -F NACOS_SIDECAR", "iptables -X NACOS_SIDECAR"),
    ]


def test_ipv6_is_done_where_the_machine_has_it() -> None:
    """And where its tool fails that is said, and no error: such connections go on as without us."""
    machine = Machine(ip6tables_restore=(3, "ip6tables-restore: unable to initialize table 'nat'\n"))
    (remark,) = tables(machine, ipv6=True).change(REDIRECT)
    assert remark.startswith("IPv6 is left as it is: ip6tables-restore --noflush")
    assert remark.endswith("unable to initialize table 'nat'")
    machine.missing.add("ip6tables-restore")
    (remark,) = tables(machine, ipv6=True).change(REDIRECT)
    assert "IPv6 is left as it is: ip6tables-restore is not installed" in remark


@pytest.mark.parametrize("redirect", [REDIRECT, None])
def test_without_the_right_the_way_out_is_said(redirect: Redirect | None) -> None:
    """Root, or the one capability."""
    machine = Machine(iptables_restore=(4, DENIED), iptables=(4, DENIED))
    with pytest.raises(RedirectError, match=r"without the capability NET_ADMIN: run as root, .*\[NET_ADMIN\]"):
        tables(machine).change(redirect)


@pytest.mark.parametrize("redirect", [REDIRECT, None])
def test_without_the_tool_the_way_out_is_said(redirect: Redirect | None) -> None:
    """A package, an image, or the printed script."""
    machine = Machine()
    machine.missing |= {"iptables", "iptables-restore"}
    with pytest.raises(RedirectError, match="is not installed: install the package iptables"):
        tables(machine).change(redirect)


def test_any_other_failure_is_told_in_the_words_of_the_tool() -> None:
    """With the command that it was."""
    machine = Machine(iptables_restore=(2, "iptables-restore v1.8.9 (nf_tables): unknown option\n"))
    with pytest.raises(RedirectError) as told:
        tables(machine).change(REDIRECT)
    assert str(told.value) == "iptables-restore --noflush --wait 5: iptables-restore v1.8.9 (nf_tables): unknown option"


def test_it_prints_what_it_would_do(tmp_path: Path) -> None:
    """Without any tool and any right."""
    path = written(tmp_path, MINIMAL + "transparent: 127.0.0.1:15006\n")
    outcome = iptables(path, environ=NOTHING, action="print", uid=7)
    assert outcome == (script(Redirect(15006, 7, (8848, 9848, 19901))), "", 0)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("", "transparent: not set: set it, to 127.0.0.1:15006 for example"),
        ("transparent: 127.0.0.1:0\n", "transparent: any free port cannot be redirected to: set it, to 127.0.0.1"),
        ("transparent: 10.0.0.1:15006\n", "redirected connections do not come to 10.0.0.1: use 127.0.0.1:15006"),
        ("transparnt: x\n", "did you mean 'transparent'?"),
    ],
)
def test_a_configuration_without_a_listener_is_none(tmp_path: Path, line: str, told: str) -> None:
    """Exit code 78, and what to write."""
    for action in ("print", "apply"):
        outcome = iptables(written(tmp_path, MINIMAL + line), environ=NOTHING, action=action)
        assert (outcome.out, outcome.code) == ("", 78)
        assert told in outcome.err


def test_a_bad_configuration_is_told_as_check_tells_it(tmp_path: Path) -> None:
    """Every problem, and how many there are."""
    outcome = iptables(written(tmp_path, "version: 2\nservces: []\n"), environ=NOTHING, action="print")
    assert outcome.code == 78
    assert outcome.err.endswith("3 errors, 0 warnings\n")
    assert outcome.err.count("\n") == 4
