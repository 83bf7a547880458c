"""From file to configuration: every problem in one pass."""

import hashlib
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sidecar.config import ConfigError, FlagError, fingerprint, load
from sidecar.config.address import Address
from sidecar.config.model import Config, Nacos
from sidecar.config.service import Discovery, Protection, Retry, Service
from tests.support.configs import MINIMAL, loaded, refusal, service, written

SAMPLE = """\
version: 1
listen: 127.0.0.1:15001
services:
  - name: order-service
    timout: 1s
    retry: {num_retries: 50}
    timeouts: {connect: 10 seconds}
  - protocol: http1
    listen: ${LISTEN_ADDR}
    listen: 127.0.0.1:15102
"""

REPORT = """\
sidecar.yaml:5:5: services[0].timout: unknown key 'timout' (did you mean 'timeouts'?)
sidecar.yaml:6:26: services[0].retry.num_retries: expected a whole number from 0 to 10, got 50
sidecar.yaml:7:25: services[0].timeouts.connect: expected a duration such as 250ms, 10s or 5m, got '10 seconds'
sidecar.yaml:8:5: services[1]: missing required key 'name'
sidecar.yaml:9:13: services[1].listen: environment variable LISTEN_ADDR is not set and has no default
sidecar.yaml:10:5: services[1].listen: duplicate key 'listen'
"""


def test_the_sample_of_the_contract_is_met_to_the_letter(tmp_path: Path) -> None:
    """Six mistakes give the six lines of the published format, in order, and nothing that follows from them."""
    assert "".join(f"{line}\n" for line in refusal(tmp_path, SAMPLE)) == REPORT


def test_the_smallest_file_loads(tmp_path: Path) -> None:
    """Two keys are enough, and the digest is the file's."""
    found = loaded(tmp_path)
    assert found.config.services[0].name == "orders"
    assert found.sha256 == hashlib.sha256(MINIMAL.encode()).hexdigest() == fingerprint(found.path)
    assert found.problems == ()


def test_rules_over_several_keys_are_judged_beside_wrong_values(tmp_path: Path) -> None:
    """One run shows a wrong value, two collisions elsewhere, but nothing about the wrong value itself."""
    text = service("listen: 127.0.0.1:99999")
    text += "  - name: ORDERS\n    hosts: [b]\n    listen: 0.0.0.0:19901\n"
    assert [line.split(": ", 2)[0:2] for line in refusal(tmp_path, text)] == [
        ["sidecar.yaml:4:13", "services[0].listen"],
        ["sidecar.yaml:5:11", "services[1].name"],
        ["sidecar.yaml:7:13", "services[1].listen"],
    ]


def test_an_unset_variable_is_not_also_a_missing_key(tmp_path: Path) -> None:
    """The cause is reported, its consequence is not."""
    lines = refusal(tmp_path, "version: 1\nservices: [{name: '${N}'}]\n")
    assert lines == ["sidecar.yaml:2:19: services[0].name: environment variable N is not set and has no default"]


def test_missing_keys_of_one_mapping_share_a_line(tmp_path: Path) -> None:
    """Both are named, since one position has one problem, and so is what would do."""
    assert refusal(tmp_path, "") == [
        "sidecar.yaml:1:1: missing required keys 'version', 'services'; the least is version: 1, and services: [{name: NAME}]"
    ]


@pytest.mark.parametrize("text", ["- a\n", "hello\n", "5\n", "~\n"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    """A list, a text or a number at the top is said to be one."""
    (line,) = refusal(tmp_path, text)
    assert line.startswith("sidecar.yaml:1:1: ")


@pytest.mark.parametrize(
    "text",
    [
        "version: 1\nservices: x\n",
        "version: 1\nservices: []\n",
        "version: 1\nservices: [1, [2]]\n",
        "version: 1\nservices: {}\n",
        "version: 2\nservices: [{name: a}]\nnacos: []\n",
        "version: 1\nservices: [{name: {}}]\ndefaults: [{}]\n",
        "version: 1\nservices: [{name: a, discovery: 5, hosts: {}}]\nlisten: []\n",
        "version: 1\nservices: [{name: a, discovery: {metadata: {a: [1]}, clusters: [[]]}}]\n",
    ],
)
def test_any_shape_of_value_is_refused_in_words(tmp_path: Path, text: str) -> None:
    """Structure that fits nowhere gives ordinary problems with a position, never a crash."""
    lines = refusal(tmp_path, text)
    assert lines
    assert all(line.startswith("sidecar.yaml:") and "expected" in line for line in lines)


def test_a_syntax_error_stands_alone(tmp_path: Path) -> None:
    """Nothing else is said about a file that cannot be read."""
    (line,) = refusal(tmp_path, "version: 2\nservices: [\n")
    assert line.startswith("sidecar.yaml:3:1: not valid YAML: ")


def test_an_unreadable_file_is_a_problem_of_the_configuration(tmp_path: Path) -> None:
    """A missing file, a folder and a file of the wrong encoding or size are refused with their name."""
    with pytest.raises(ConfigError, match=r"none.yaml: cannot be read: No such file or directory$"):
        load(tmp_path / "none.yaml", environ={})
    with pytest.raises(ConfigError, match=r"cannot be read: Is a directory$"):
        load(tmp_path, environ={})
    path = tmp_path / "latin.yaml"
    path.write_bytes(b"version: 1\n# \xe9\n")
    with pytest.raises(ConfigError, match=r"latin.yaml:2:3: not valid YAML: the file is not UTF-8$"):
        load(path, environ={})
    path.write_bytes(b"#" * (1 << 20) + b"\n")
    with pytest.raises(ConfigError, match=r"latin.yaml: larger than 1 MiB$"):
        load(path, environ={})
    assert fingerprint(tmp_path / "none.yaml") is None


def test_the_file_may_be_named_by_a_variable(tmp_path: Path) -> None:
    """Without a path `SIDECAR_CONFIG` counts, and without either it is the command line that is wrong."""
    path = written(tmp_path, MINIMAL)
    assert load(None, environ={"SIDECAR_CONFIG": str(path)}).path == path
    with pytest.raises(FlagError, match="no configuration file"):
        load(None, environ={"SIDECAR_CONFIG": ""})


def test_a_flag_beats_a_variable_and_a_variable_the_file(tmp_path: Path) -> None:
    """Precedence, and where each value came from."""
    text = MINIMAL + "logging: {level: error, format: json}\nadmin: {listen: '127.0.0.1:1'}\n"
    environ = {"SIDECAR_LOG_LEVEL": "warning", "SIDECAR_ADMIN_LISTEN": "127.0.0.1:2", "SIDECAR_LOG_FORMAT": ""}
    found = loaded(tmp_path, text, environ, {"logging.level": "debug"})
    assert (found.config.logging.level.value, found.config.logging.format) == ("debug", "json")
    assert found.config.admin.listen == Address("127.0.0.1", 2)
    assert {(one.key, one.origin.kind, one.origin.name) for one in found.overrides} == {
        ("logging.level", "flag", "--log-level"),
        ("admin.listen", "env", "SIDECAR_ADMIN_LISTEN"),
    }


def test_a_bad_flag_is_bad_usage(tmp_path: Path) -> None:
    """It is not reported among the problems of the file."""
    with pytest.raises(FlagError, match=r"^--log-level: expected debug, info, warning or error, got 'loud'$"):
        loaded(tmp_path, overrides={"logging.level": "loud"})


def test_a_bad_variable_is_a_problem_under_its_own_name(tmp_path: Path) -> None:
    """Lists and settings of the process included; a secret is not repeated."""
    environ = {
        "NACOS_SERVER_ADDR": "a, b:x",
        "SIDECAR_RELOAD_POLL": "3",
        "SIDECAR_LOG_LEVEL": "inf",
        "NACOS_USERNAME": "me",
        "NACOS_PASSWORD": "hush-hush",
    }
    lines = refusal(tmp_path, MINIMAL, environ)
    assert lines == [
        "env:NACOS_SERVER_ADDR: expected a server such as nacos.internal:8848, got 'b:x'",
        "env:SIDECAR_LOG_LEVEL: expected debug, info, warning or error, got 'inf' (did you mean 'info'?)",
        "env:SIDECAR_RELOAD_POLL: expected a duration such as 250ms, 10s or 5m, got '3'",
    ]
    assert "hush" not in "".join(lines)


def test_warnings_do_not_keep_a_file_from_loading(tmp_path: Path) -> None:
    """They come with what was loaded."""
    found = loaded(tmp_path, MINIMAL + "listen: 0.0.0.0:15001\n", {"SIDECAR_LOGLEVEL": "info"})
    assert [str(one).replace(f"{tmp_path}/", "") for one in found.problems] == [
        "sidecar.yaml:3:9: listen: warning: 0.0.0.0:15001 can be reached from other hosts: use 127.0.0.1 unless that is wanted",
        "env:SIDECAR_LOGLEVEL: warning: unknown variable (did you mean 'SIDECAR_LOG_LEVEL'?)",
    ]


def test_relative_paths_start_at_the_file(tmp_path: Path) -> None:
    """Wherever the process runs; the words of `access_log.path` are no paths."""
    found = loaded(tmp_path, MINIMAL + "nacos: {snapshot_dir: a/b}\naccess_log: {path: log}\n").config
    assert found.nacos.snapshot_dir == tmp_path / "a/b"
    assert found.access_log.path == str(tmp_path / "log")
    assert loaded(tmp_path, MINIMAL + "access_log: {path: stderr}\n").config.access_log.path == "stderr"


def test_a_wrong_default_is_reported_once_where_it_stands(tmp_path: Path) -> None:
    """However many services would have had it."""
    text = "version: 1\ndefaults:\n  retry: {num_retries: x}\nservices: [{name: a}, {name: b}]\n"
    (line,) = refusal(tmp_path, text)
    assert line.startswith("sidecar.yaml:3:24: defaults.retry.num_retries: ")


def test_what_stands_in_for_a_wrong_list_is_not_judged(tmp_path: Path) -> None:
    """The default hosts, which would collide here, are nobody's mistake."""
    text = "version: 1\nservices:\n  - {name: a, discovery: {service: s}}\n  - {name: b, hosts: [x, 5], discovery: {service: s}}\n"
    (line,) = refusal(tmp_path, text)
    assert line.startswith("sidecar.yaml:4:26: services[1].hosts[1]: expected a host")


KEYS = sorted(
    {name for section in (Config, Nacos, Service, Discovery, Protection, Retry) for name in section.model_fields}
)
ODD: st.SearchStrategy[object] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-1, 9)
    | st.sampled_from(["", "1s", "a:1", "${A}", "$", "hold", "null", "x" * 99]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=25,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.dictionaries(st.sampled_from(sorted(Config.model_fields)), ODD), services=st.lists(ODD, max_size=3))
def test_any_values_load_or_are_refused_in_order(
    tmp_path: Path, values: dict[str, object], services: list[object]
) -> None:
    """Whatever stands under known keys, there is a configuration or a sorted list of problems, one a position."""
    text = yaml.safe_dump({**values, "services": services}, sort_keys=False)
    try:
        loaded(tmp_path, text)
    except ConfigError as error:
        places = [(problem.line or 0, problem.column or 0) for problem in error.problems]
        assert places == sorted(set(places))
        assert all(problem.message for problem in error.problems)


def test_nesting_without_end_is_a_problem_of_the_file(tmp_path: Path) -> None:
    """Five thousand opening braces are refused as any other broken file, not with a traceback."""
    path = tmp_path / "sidecar.yaml"
    path.write_text("version: 1\nservices: " + "{" * 5000)
    with pytest.raises(ConfigError, match="not valid YAML"):
        load(path, environ={})
