"""Problems as lines and JSON."""

import json

from sidecar.config.report import Level, Problem, arrange, as_json, as_text, did_you_mean, path_text


def problem(
    line: int | None, column: int | None, message: str, level: Level = Level.ERROR, file: str = "f.yaml"
) -> Problem:
    return Problem(file, line, column, "a.b", level, message)


def test_a_line_has_file_place_path_and_message() -> None:
    """`FILE:LINE:COL: PATH: MESSAGE`, the path left out where there is none, warnings announced."""
    assert str(problem(5, 3, "bad")) == "f.yaml:5:3: a.b: bad"
    assert str(problem(5, 3, "odd", Level.WARNING)) == "f.yaml:5:3: a.b: warning: odd"
    assert str(Problem("f.yaml", 1, 1, "", Level.ERROR, "bad")) == "f.yaml:1:1: bad"


def test_a_variable_has_a_name_instead_of_a_place() -> None:
    """`env:NAME: MESSAGE`, without the path of the key that it overrides."""
    assert str(problem(None, None, "bad", file="env:X")) == "env:X: bad"


def test_problems_are_sorted_by_place_and_variables_come_last() -> None:
    """Line first, then column, as numbers."""
    problems = [problem(None, None, "e", file="env:X"), problem(10, 1, "d"), problem(9, 12, "c"), problem(9, 2, "b")]
    assert [one.message for one in arrange(problems)] == ["b", "c", "d", "e"]


def test_one_position_has_one_problem() -> None:
    """The first stays, and an error before any warning."""
    assert [p.message for p in arrange([problem(1, 1, "a"), problem(1, 1, "b")])] == ["a"]
    assert [p.message for p in arrange([problem(1, 1, "w", Level.WARNING), problem(1, 1, "e")])] == ["e"]


def test_the_text_ends_with_the_counts() -> None:
    """Errors and warnings are counted apart."""
    problems = [problem(1, 1, "a"), problem(2, 1, "b", Level.WARNING)]
    assert as_text(problems).splitlines()[-1] == "1 errors, 1 warnings"


def test_the_json_holds_every_part() -> None:
    """The object of the contract, key by key."""
    (found,) = json.loads(as_json([problem(5, 3, "bad")], ok=False))["problems"]
    assert found == {"file": "f.yaml", "line": 5, "column": 3, "path": "a.b", "level": "error", "message": "bad"}


def test_a_path_reads_like_code() -> None:
    """Keys by dots, indexes in brackets."""
    assert path_text(("services", 0, "retry", "retry_on", 2)) == "services[0].retry.retry_on[2]"
    assert not path_text(())


def test_only_a_near_word_is_suggested() -> None:
    """A slip of the keys finds its word; another word finds none."""
    assert did_you_mean("timout", ["timeouts", "retry"]) == " (did you mean 'timeouts'?)"
    assert not did_you_mean("colour", ["timeouts", "retry"])
