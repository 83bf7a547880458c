"""Rules over several keys."""

from pathlib import Path

import pytest

from sidecar.config import ConfigError, load
from sidecar.config.locate import Locator
from sidecar.config.merge import in_force
from sidecar.config.model import Config
from sidecar.config.rules import (
    HTTP_ONLY,
    certificates_will_do,
    credentials_are_whole,
    files_can_be_used,
    one_source_a_secret,
    secrets_stand_elsewhere,
)
from sidecar.config.source import parse
from tests.support.certificates import Authority
from tests.support.configs import MINIMAL, loaded, refusal, service, written

TWO = "version: 1\nservices:\n  - name: a\n    {}\n  - name: b\n    {}\n"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            TWO.format("listen: 127.0.0.1:80", "listen: localhost:80"),
            "sidecar.yaml:6:13: services[1].listen: localhost:80 is taken by services[0].listen: choose another port",
        ),
        (
            service("listen: 127.0.0.1:15001"),
            "sidecar.yaml:4:13: services[0].listen: 127.0.0.1:15001 is taken by listen: choose another port",
        ),
        (
            service("listen: 127.0.0.1:19901"),
            "sidecar.yaml:4:13: services[0].listen: 127.0.0.1:19901 is taken by admin.listen: choose another port",
        ),
        (
            service("listen: 127.0.0.1:80") + "listen: 127.0.0.1:80\n",
            "sidecar.yaml:5:9: listen: 127.0.0.1:80 is taken by services[0].listen: choose another port",
        ),
        (
            service("listen: 127.0.0.1:80") + "unmatched: forward\nlisten: null\n",
            (
                "sidecar.yaml:5:12: unmatched: only the shared listener is a proxy: set 'listen', "
                "or leave this at refuse"
            ),
        ),
        (
            MINIMAL + "transparent: 127.0.0.1:15001\nlisten: 127.0.0.1:15001\n",
            "sidecar.yaml:4:9: listen: 127.0.0.1:15001 is taken by transparent: choose another port",
        ),
        (
            "version: 1\nservices: [{name: a}, {name: A, hosts: [x]}]\n",
            "sidecar.yaml:2:30: services[1].name: name 'A' belongs to services[0] already: choose another",
        ),
        (
            TWO.format("hosts: [x, y]", "hosts: [z, X]"),
            (
                "sidecar.yaml:6:16: services[1].hosts[1]: host 'X' belongs to services[0] already: "
                "give this one other hosts, or hosts: []"
            ),
        ),
        (
            TWO.format("discovery: {service: s}", "discovery: {service: s}"),
            (
                "sidecar.yaml:6:26: services[1].discovery.service: host 's' belongs to services[0] already: "
                "give this one other hosts, or hosts: []"
            ),
        ),
        (
            MINIMAL + "listen: null\n",
            "sidecar.yaml:2:12: services[0]: no way in: set 'listen' here, or the shared 'listen' at the top",
        ),
        (service("hosts: []"), "sidecar.yaml:4:12: services[0].hosts: no way in: name 'hosts', or set 'listen'"),
        (
            service("discovery: {static: ['a:1'], group: g}"),
            "sidecar.yaml:4:25: services[0].discovery.static: 'static' excludes 'group': keep one or the other",
        ),
        (
            service("protection: {confirm: 20m}"),
            (
                "sidecar.yaml:4:27: services[0].protection.confirm: confirm 20m is longer than max_hold 10m: "
                "lower it, or raise max_hold"
            ),
        ),
        (
            service("protection: {max_hold: 30s}"),
            (
                "sidecar.yaml:4:28: services[0].protection.max_hold: confirm 60s is longer than max_hold 30s: "
                "lower it, or raise max_hold"
            ),
        ),
        (
            service("retry: {per_try_timeout: 61s}"),
            (
                "sidecar.yaml:4:30: services[0].retry.per_try_timeout: per_try_timeout 61s is longer than response 60s: "
                "lower it, or raise response"
            ),
        ),
        (
            service("outlier_detection: {base_ejection_time: 6m}"),
            (
                "sidecar.yaml:4:45: services[0].outlier_detection.base_ejection_time: base_ejection_time 6m is longer than "
                "max_ejection_time 5m: lower it, or raise max_ejection_time"
            ),
        ),
    ],
)
def test_a_broken_rule_is_reported_at_the_later_key(tmp_path: Path, text: str, line: str) -> None:
    """Each rule of the contract, with the place and the way out."""
    assert refusal(tmp_path, text) == [line]


@pytest.mark.parametrize(
    "text",
    [
        TWO.format("listen: 127.0.0.1:0", "listen: 127.0.0.1:0"),
        TWO.format("listen: 127.0.0.1:80", "listen: 127.0.0.2:80"),
        TWO.format("hosts: ['x:1']", "hosts: ['x:2', x]"),
        service("listen: 127.0.0.1:80\nhosts: []") + "listen: null\n",
        service("timeouts: {response: null}\nretry: {per_try_timeout: 2h}"),
        service("protection: {confirm: 10m}"),
        (
            "version: 1\nlisten: null\nservices:\n"
            "  - {name: a, listen: 'localhost:1', discovery: {service: s}}\n"
            "  - {name: b, listen: 'localhost:2', discovery: {service: s}}\n"
        ),
    ],
)
def test_what_only_looks_like_a_conflict_passes(tmp_path: Path, text: str) -> None:
    """Any free port twice, ports in hosts, no limit at all, hosts without a shared listener."""
    assert refusal(tmp_path, text) == []


def test_a_pair_split_between_defaults_and_service_is_judged_merged(tmp_path: Path) -> None:
    """It is reported where the shorter one was written."""
    text = service("protection: {max_hold: 1m}") + "defaults: {protection: {confirm: 2m}}\n"
    (line,) = refusal(tmp_path, text)
    assert line.startswith("sidecar.yaml:4:28: services[0].protection.max_hold: ") or ":5:" in line


def test_a_tcp_service_without_a_listener_has_no_way_in(tmp_path: Path) -> None:
    """The shared one routes by Host, and there is none."""
    (found,) = refusal(tmp_path, service("protocol: tcp"))
    assert found.endswith("services[0].protocol: a tcp service needs a listener of its own: set 'listen'")


TCP = "protocol: tcp\nlisten: 127.0.0.1:1\n"


@pytest.mark.parametrize("path", HTTP_ONLY, ids=".".join)
def test_what_only_requests_have_is_refused_of_a_tcp_service(tmp_path: Path, path: tuple[str, ...]) -> None:
    """On the service itself; among the defaults it is ignored."""
    key = path[-1]
    value = {"budget": "{percent: 1}", "limits": "{max_headers: 9}", "keepalive": "{idle_timeout: 1s}"}.get(key)
    value = value or {"non_idempotent": "never", "on_ambiguous": "close", "replay_buffer": "1KiB"}.get(key)
    value = value or {"leaving_signals": "true", "via": "true", "debug_headers": "true"}.get(key)
    value = value or {"request_head": "1s", "response": "1s", "per_try_timeout": "1s", "stall_after": "1s"}.get(
        key, "1"
    )
    value = "x" if key in {"host_header", "leaving_header"} else value
    body = f"{key}: {value}" if len(path) == 1 else f"{path[0]}: {{{key}: {value}}}"
    (found,) = refusal(tmp_path, service(TCP + body))
    assert found.endswith(f"services[0].{'.'.join(path)}: means nothing to a tcp service: remove it")
    defaults = f"defaults: {{{body}}}\n"
    assert refusal(tmp_path, service(TCP.strip()) + defaults) == []


def test_a_tcp_service_has_no_hosts(tmp_path: Path) -> None:
    """None, or an empty list that says so."""
    assert "services[0].hosts: a tcp service has no hosts" in refusal(tmp_path, service(TCP + "hosts: [a]"))[0]
    assert refusal(tmp_path, service(TCP + "hosts: []")) == []


def test_only_the_admin_port_may_leave_loopback_unremarked(tmp_path: Path) -> None:
    """A warning for each other listener, never an error."""
    text = service("listen: 10.0.0.1:80") + "listen: 0.0.0.0:15001\nadmin: {listen: '10.0.0.1:81'}\n"
    assert [problem.path for problem in loaded(tmp_path, text).problems] == ["services[0].listen", "listen"]


@pytest.mark.parametrize("listen", ["0.0.0.0:15001", "10.0.0.1:15001", "'[::]:15001'", "sidecar.local:15001"])
def test_nobody_else_may_use_it_as_a_proxy(tmp_path: Path, listen: str) -> None:
    """To send on whatever is asked for is refused where other hosts may ask; on loopback it passes."""
    problems = refusal(tmp_path, MINIMAL + f"unmatched: forward\nlisten: {listen}\n")
    assert problems[0].startswith("sidecar.yaml:3:12: unmatched: other hosts could use ")
    for own in ("127.0.0.1:15001", "localhost:15001", "'[::1]:15001'"):
        assert refusal(tmp_path, MINIMAL + f"unmatched: forward\nlisten: {own}\n") == []


@pytest.mark.parametrize("address", ["10.0.0.1:15006", "'[::1]:15006'", "sidecar.local:15006"])
def test_redirected_connections_come_to_loopback(tmp_path: Path, address: str) -> None:
    """That of IPv4, which stands for that of IPv6 as well; the wildcard passes with the warning that it is one."""
    (line,) = [one for one in refusal(tmp_path, MINIMAL + f"transparent: {address}\n") if "warning" not in one]
    assert line.startswith("sidecar.yaml:3:14: transparent: redirected connections do not come to ")
    assert line.endswith(": use 127.0.0.1:15006, which is ::1, too")
    for own in ("127.0.0.1:15006", "localhost:15006"):
        assert refusal(tmp_path, MINIMAL + f"transparent: {own}\n") == []
    (warning,) = loaded(tmp_path, MINIMAL + "transparent: 0.0.0.0:15006\n").problems
    assert warning.path == "transparent"


def test_with_a_redirect_the_addresses_of_its_instances_are_a_way_into_a_service(tmp_path: Path) -> None:
    """Neither a listener nor a host is needed."""
    for body in ("protocol: tcp", "hosts: []"):
        assert refusal(tmp_path, service(body))
        assert refusal(tmp_path, service(body) + "transparent: 127.0.0.1:15006\n") == []


def judge(text: str, environ: dict[str, str] | None = None) -> tuple[Config, Config, Locator]:
    source = parse(text, environ or {})
    written = Config.model_validate(source.values)
    return in_force(written), written, Locator("f", source, {})


def test_a_secret_has_one_source() -> None:
    """The file of a secret excludes the secret."""
    text = MINIMAL + "nacos: {password: a, password_file: b, secret_key: c}\n"
    assert [finding.loc for finding in one_source_a_secret(*judge(text))] == [("nacos", "password_file")]


def test_a_secret_in_clear_is_remarked() -> None:
    """Not one that a variable brings."""
    text = MINIMAL + "nacos: {password: a, secret_key: '${K}'}\n"
    (finding,) = secrets_stand_elsewhere(*judge(text, {"K": "x"}))
    assert finding.loc == ("nacos", "password")
    assert "password_file" in finding.message


@pytest.mark.parametrize(
    ("keys", "where", "way_out"),
    [
        ("username: a", "username", "NACOS_PASSWORD"),
        ("password_file: a", "password_file", "unused without 'username'"),
        ("access_key: a", "access_key", "NACOS_SECRET_KEY"),
        ("secret_key: a", "secret_key", "unused without 'access_key'"),
    ],
)
def test_half_a_login_is_remarked(keys: str, where: str, way_out: str) -> None:
    """An id without its secret, and a secret without its id; the two together pass."""
    (finding,) = credentials_are_whole(*judge(MINIMAL + f"nacos: {{{keys}}}\n"))
    assert finding.loc == ("nacos", where)
    assert way_out in finding.message
    assert not list(credentials_are_whole(*judge(MINIMAL + "nacos: {username: a, password: b}\n")))


def test_files_must_be_there_only_when_asked_for(tmp_path: Path) -> None:
    """Every key that names a file to read counts, services' too; a readable one passes."""
    good = tmp_path / "ca.pem"
    good.write_text("x")
    text = service(f"tls: {{ca_file: {good}, key_file: {tmp_path}/none}}") + f"nacos: {{password_file: {tmp_path}}}\n"
    assert [finding.loc for finding in files_can_be_used(*judge(text))] == [
        ("nacos", "password_file"),
        ("services", 0, "tls", "key_file"),
    ]


def test_the_access_log_must_have_a_folder_when_asked_for(tmp_path: Path) -> None:
    """A sidecar whose log cannot be opened does not start; streams and files that will be made pass."""
    (finding,) = files_can_be_used(*judge(MINIMAL + f"access_log: {{path: {tmp_path}/none/a.log}}\n"))
    assert finding.loc == ("access_log", "path")
    assert "create its folder" in finding.message
    for fine in (f"{tmp_path}/a.log", "stderr", "a.log"):
        assert not list(files_can_be_used(*judge(MINIMAL + f"access_log: {{path: {fine}}}\n")))


@pytest.mark.parametrize("where", ["nacos: {{tls: {}}}", "defaults: {{tls: {}}}"])
def test_a_key_without_a_certificate_is_refused(tmp_path: Path, where: str) -> None:
    """The other way round is no mistake: the key may stand in the certificate's file."""
    (found,) = refusal(tmp_path, MINIMAL + where.format("{key_file: a.key}"))
    assert found.startswith("sidecar.yaml:3:")
    assert found.endswith(f": {where.partition(':')[0]}.tls.key_file: no certificate for it: set 'cert_file'")
    assert refusal(tmp_path, MINIMAL + where.format("{cert_file: a.pem}")) == []


def test_certificates_for_instances_have_to_be_usable_where_they_are_used(tmp_path: Path) -> None:
    """With the place in the YAML, once for a default of many; `check` alone takes what this machine may not have."""
    ca = Authority(tmp_path)
    one, other = ca.issue("one"), ca.issue("other")
    lines = [
        "version: 1",
        "services: [{name: a}, {name: b}, {name: c, tls: {ca_file: none.pem}}]",
        "defaults:",
        f"  tls: {{ca_file: {ca.file}, cert_file: {one.cert_file}, key_file: {other.key_file}}}",
    ]
    path = written(tmp_path, "\n".join(lines))
    load(path, environ={})
    for certificates in (True, False):
        with pytest.raises(ConfigError) as caught:
            load(path, environ={}, certificates=certificates, files=not certificates)
        found = [str(problem).removeprefix(f"{path}:") for problem in caught.value.problems]
        column = lines[3].index(str(other.key_file)) + 1
        assert found[-1] == (
            f"4:{column}: defaults.tls.key_file: {other.key_file}: not the key of the certificate in {one.cert_file}"
        )
        assert found[0].startswith("2:59: services[2].tls.ca_file: ")
        assert len(found) == 2
    path.write_text(path.read_text().replace(str(other.key_file), str(one.key_file)).replace("none.pem", str(ca.file)))
    load(path, environ={}, certificates=True)


def test_a_default_of_many_services_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's store takes milliseconds each time."""
    made: list[object] = []
    monkeypatch.setattr("sidecar.config.rules.client_context", lambda **section: made.append(section))
    names = ", ".join(f"{{name: s{number}}}" for number in range(50))
    assert not list(certificates_will_do(*judge(f"version: 1\nservices: [{names}]\ndefaults: {{tls: {{}}}}\n")))
    assert len(made) == 1
