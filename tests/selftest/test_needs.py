import pytest

from tests.support.needs import CPYTHON_3_11, LINUX, require


def test_a_missing_tool_skips_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where skips are allowed, the reason names the tool."""
    monkeypatch.delenv("TESTS_REQUIRE_ALL", raising=False)
    with pytest.raises(pytest.skip.Exception, match="lacks no-such-tool"):
        require("python3", "no-such-tool")


def test_a_complete_run_cannot_pass_by_skipping(monkeypatch: pytest.MonkeyPatch) -> None:
    """With TESTS_REQUIRE_ALL=1 the same lack is a failure."""
    monkeypatch.setenv("TESTS_REQUIRE_ALL", "1")
    with pytest.raises(pytest.fail.Exception, match="allows no skip"):
        require("no-such-tool")


def test_another_system_or_interpreter_is_a_lack_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """So a complete run cannot skip what was written for Linux, or counted for one version."""
    monkeypatch.setenv("TESTS_REQUIRE_ALL", "1")
    require(LINUX, CPYTHON_3_11)
    monkeypatch.setattr("sys.platform", "darwin")
    monkeypatch.setattr("sys.version_info", (3, 12, 0))
    with pytest.raises(pytest.fail.Exception, match=r"lacks Linux, CPython 3\.11, and"):
        require(LINUX, CPYTHON_3_11)


def test_what_is_there_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tool in an sbin folder counts as there although PATH leaves those out."""
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    require("sh", "ldconfig")
