"""What the command prints."""

import json
from pathlib import Path

import pytest
import yaml

from sidecar.config import FlagError
from sidecar.config.check import Verdict, check
from tests.support.configs import MINIMAL, written

WARNED = MINIMAL + "listen: 0.0.0.0:15001\n"


def test_success_is_one_line_on_stdout(tmp_path: Path) -> None:
    """With the number of services and warnings; warnings themselves go to stderr."""
    path = written(tmp_path, WARNED)
    found = check(path, environ={})
    assert (found.out, found.code) == (f"{path}: ok: 1 services, 1 warnings\n", 0)
    assert found.err.startswith(f"{path}:3:9: listen: warning: ")


def test_failure_is_every_problem_and_the_counts(tmp_path: Path) -> None:
    """On stderr, with the exit code of a bad configuration."""
    path = written(tmp_path, "version: 1\nservices: [{name: a, x: 1, y: 2}]\n")
    found = check(path, environ={})
    assert (found.out, found.code) == ("", 78)
    assert found.err.splitlines()[-1] == "2 errors, 0 warnings"


def test_strictness_makes_warnings_count(tmp_path: Path) -> None:
    """The same file passes without it."""
    path = written(tmp_path, WARNED)
    assert check(path, environ={}, strict=True).code == 78
    assert check(path, environ={}, strict=True).err.splitlines()[-1] == "0 errors, 1 warnings"
    assert check(written(tmp_path, MINIMAL), environ={}, strict=True).code == 0


@pytest.mark.parametrize(("text", "strict", "ok"), [(WARNED, False, True), (WARNED, True, False), ("", False, False)])
def test_json_is_one_object_on_stdout(tmp_path: Path, text: str, *, strict: bool, ok: bool) -> None:
    """Whether it went well, and the problems, warnings included."""
    found = check(written(tmp_path, text), environ={}, strict=strict, format="json")
    body = json.loads(found.out)
    assert (body["ok"], found.err, found.code) == (ok, "", 0 if ok else 78)
    assert len(body["problems"]) == 1


def test_the_effective_file_is_all_that_stdout_has(tmp_path: Path) -> None:
    """It can be sent to a file as it is."""
    path = written(tmp_path, MINIMAL)
    found = check(path, environ={"NACOS_NAMESPACE": "dev"}, print_effective=True)
    assert yaml.safe_load(found.out)["nacos"]["namespace"] == "dev"
    assert found.err == f"{path}: ok: 1 services, 0 warnings\n"


def test_without_a_file_the_usage_is_wrong() -> None:
    """Nothing to check is no bad configuration."""
    with pytest.raises(FlagError):
        check(None, environ={})


def test_a_missing_file_is_a_bad_configuration(tmp_path: Path) -> None:
    """Named, with the reason."""
    path = tmp_path / "none.yaml"
    message = f"{path}: cannot be read: No such file or directory\n1 errors, 0 warnings\n"
    assert check(path, environ={}) == Verdict("", message, 78)
