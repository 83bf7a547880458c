"""Variables and flags."""

import pytest

from sidecar.config.environment import (
    VARIABLES,
    Override,
    RunSettings,
    applied,
    overridden,
    run_settings,
    unknown_variables,
)
from sidecar.config.locate import Origin
from sidecar.config.model import Config
from sidecar.config.report import FlagError
from sidecar.config.section import Section


def test_every_variable_overrides_a_key_that_exists() -> None:
    """The table cannot drift from the model."""
    for key in VARIABLES.values():
        section: type[Section] = Config
        *path, last = key.split(".")
        for step in path:
            section = type(section.model_fields[step].default)
        assert last in section.model_fields


def test_an_empty_variable_counts_as_unset() -> None:
    """It overrides nothing, and a flag beats one that is set."""
    assert overridden({"NACOS_NAMESPACE": ""}, {}) == {}
    found = overridden({"SIDECAR_LOG_LEVEL": "info"}, {"logging.level": "debug", "loop": "auto"})
    assert found == {Override("logging.level", Origin("flag", "--log-level")): "debug"}


def test_an_override_makes_the_mappings_that_it_needs() -> None:
    """Absent or null ones; what is no mapping is left for the models to refuse, and the file's values stay."""
    override = Override("a.b", Origin("env", "X"))
    values = {"a": {"c": 1}}
    assert applied(values, {override: "v"}) == {"a": {"c": 1, "b": "v"}}
    assert values == {"a": {"c": 1}}
    assert applied({"a": None}, {override: "v"}) == applied(None, {override: "v"}) == {"a": {"b": "v"}}
    assert applied({"a": 5}, {override: "v"}) == {"a": 5}


def test_settings_of_the_process_have_defaults_variables_and_flags() -> None:
    """In that order of precedence."""
    assert run_settings({}, {}) == (RunSettings("auto", 3.0), ())
    assert run_settings({"SIDECAR_LOOP": "asyncio", "SIDECAR_RELOAD_POLL": "0s"}, {})[0] == RunSettings("asyncio", 0.0)
    assert run_settings({"SIDECAR_LOOP": "asyncio"}, {"loop": "uvloop"})[0] == RunSettings("uvloop")


def test_a_bad_setting_is_usage_in_a_flag_and_a_problem_in_a_variable() -> None:
    """The name tells which."""
    with pytest.raises(FlagError, match=r"^--reload-poll: expected a duration .*, got '3'$"):
        run_settings({}, {"reload_poll": "3"})
    _, (problem,) = run_settings({"SIDECAR_LOOP": "twisted"}, {})
    assert str(problem) == "env:SIDECAR_LOOP: expected auto, uvloop or asyncio, got 'twisted'"


def test_unknown_variables_of_ours_are_remarked() -> None:
    """Names that Kubernetes makes for a Service called sidecar are not, nor those of others."""
    environ = dict.fromkeys(
        (
            "SIDECAR_LOGLEVEL",
            "SIDECAR_XYZZY",
            "SIDECAR_CONFIG",
            "SIDECAR_LOOP",
            "SIDECAR_SERVICE_HOST",
            "SIDECAR_ADMIN_SERVICE_PORT_METRICS",
            "SIDECAR_PORT",
            "SIDECAR_PORT_80_TCP_ADDR",
            "NACOS_FOO",
        ),
        "x",
    )
    environ["SIDECAR_EMPTY"] = ""  # counts as unset, as everywhere
    assert [str(problem) for problem in unknown_variables(environ)] == [
        "env:SIDECAR_LOGLEVEL: warning: unknown variable (did you mean 'SIDECAR_LOG_LEVEL'?)",
        "env:SIDECAR_XYZZY: warning: unknown variable",
    ]
