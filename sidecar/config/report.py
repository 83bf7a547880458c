"""Problems of a configuration, as values and as the lines that people and tools read.

A `Finding` says what is wrong with which key; where it stands is looked up afterwards and makes it a `Problem`.
One problem a position: what follows from a mistake does not bury the mistake.
"""

import difflib
import enum
import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

Loc = tuple[str | int, ...]
"""The way to a key from the top of the file: `("services", 0, "retry")`."""


class Level(enum.Enum):
    """Whether it keeps the sidecar from running."""

    ERROR = "error"
    WARNING = "warning"


class At(enum.Enum):
    """What a finding points at."""

    VALUE = "value"
    KEY = "key"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong at `loc`; `related` are further keys it is about, asked for a position when `loc` has none."""

    loc: Loc
    message: str
    at: At = At.VALUE
    level: Level = Level.ERROR
    related: tuple[Loc, ...] = ()


@dataclass(frozen=True, slots=True)
class Problem:
    """One line of the report; `file` is `env:NAME` for a variable, which has neither line nor column."""

    file: str
    line: int | None
    column: int | None
    path: str
    level: Level
    message: str

    def __str__(self) -> str:
        message = f"warning: {self.message}" if self.level is Level.WARNING else self.message
        if self.line is None:
            return f"{self.file}: {message}"
        return f"{self.file}:{self.line}:{self.column}: {self.path + ': ' if self.path else ''}{message}"

    def as_json(self) -> dict[str, Any]:
        """The object that stands in `problems` of the JSON report and of a rejected reload."""
        return {
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "path": self.path,
            "level": self.level.value,
            "message": self.message,
        }


class ConfigError(Exception):
    """The configuration cannot be used; `problems` holds every reason, in order, warnings included."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


class FlagError(ValueError):
    """A flag of the command line has a bad value: a usage error, not one of the configuration."""


def arrange(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """By line and column, those without a position last; of several at one position the first error."""
    chosen: dict[object, Problem] = {}
    for problem in sorted(problems, key=lambda one: one.level is not Level.ERROR):
        chosen.setdefault((problem.file, problem.line, problem.column), problem)
    return tuple(sorted(chosen.values(), key=_position))


def _position(problem: Problem) -> tuple[bool, int, int, str]:
    return problem.line is None, problem.line or 0, problem.column or 0, problem.file


def errors(problems: Iterable[Problem]) -> int:
    """How many of them are errors."""
    return sum(problem.level is Level.ERROR for problem in problems)


def as_text(problems: Sequence[Problem]) -> str:
    """A line each, then how many of which level."""
    wrong = errors(problems)
    return "".join(f"{problem}\n" for problem in problems) + f"{wrong} errors, {len(problems) - wrong} warnings\n"


def as_json(problems: Sequence[Problem], *, ok: bool) -> str:
    """`{"ok", "problems"}` on one line."""
    return json.dumps({"ok": ok, "problems": [problem.as_json() for problem in problems]}, ensure_ascii=False) + "\n"


def path_text(loc: Loc) -> str:
    """`services[0].retry.num_retries`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in loc).removeprefix(".")


def did_you_mean(word: str, known: Collection[str], *, likeness: float = 0.6) -> str:
    """The rest of a message: the nearest known word, or nothing; long common prefixes ask for more likeness."""
    near = difflib.get_close_matches(word, known, n=1, cutoff=likeness)
    return f" (did you mean '{near[0]}'?)" if near else ""
