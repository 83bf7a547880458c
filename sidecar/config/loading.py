"""A file, the environment and the flags become one configuration, or every reason why not, in one pass."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from sidecar.config import environment, merge, rules
from sidecar.config.environment import Override, RunSettings
from sidecar.config.explain import explain
from sidecar.config.locate import Locator
from sidecar.config.model import Config
from sidecar.config.repair import repaired
from sidecar.config.report import ConfigError, Finding, FlagError, Level, Loc, Problem, arrange, errors
from sidecar.config.rules import Rule
from sidecar.config.source import MAX_BYTES, Source, YamlError, parse


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration in force; `problems` are warnings only, `sha256` is of the file's bytes."""

    config: Config
    path: Path
    sha256: str
    problems: tuple[Problem, ...]
    overrides: tuple[Override, ...]
    run: RunSettings


def load(
    path: Path | None,
    *,
    environ: Mapping[str, str],
    overrides: Mapping[str, str] = MappingProxyType({}),
    certificates: bool = False,
    files: bool = False,
) -> Loaded:
    """Raises `ConfigError` with every problem, or `FlagError` when it is the command line that is wrong.

    Without a path `SIDECAR_CONFIG` names it. `overrides` are texts of flags by key (`environment.FLAGS`);
    `certificates` also demands that those for instances can be used, `files` that every file which the configuration
    names can be.
    """
    place = path or Path(environ.get(environment.FILE_VARIABLE) or "")
    if place == Path():
        raise FlagError(f"no configuration file: give --config FILE, or set {environment.FILE_VARIABLE}")
    run, around = environment.run_settings(environ, overrides)
    around += tuple(environment.unknown_variables(environ))
    content = _read(place)
    texts = environment.overridden(environ, overrides)
    source = _parse(place, content, environ)
    asked = [rules.files_can_be_used] * files + [rules.certificates_will_do] * (files or certificates)
    judge = _Judge(place, source, texts, rules=[*rules.RULES, *asked])
    config = judge.verdict()
    problems = arrange((*judge.problems, *around))
    if config is None or errors(problems):
        raise ConfigError(problems)
    return Loaded(config, place, hashlib.sha256(content).hexdigest(), problems, tuple(texts), run)


def fingerprint(path: Path) -> str | None:
    """The file's `sha256`, to compare with `Loaded.sha256`; None while it cannot be read."""
    try:
        return hashlib.sha256(_read(path)).hexdigest()
    except ConfigError:
        return None


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise _alone(path, f"cannot be read: {error.strerror}") from error
    if len(content) > MAX_BYTES:
        raise _alone(path, "larger than 1 MiB")
    return content


def _parse(path: Path, content: bytes, environ: Mapping[str, str]) -> Source:
    try:
        return parse(content.decode("utf-8-sig"), environ)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        column = error.start - content.rfind(b"\n", 0, error.start)
        raise _alone(path, "not valid YAML: the file is not UTF-8", line, column) from error
    except RecursionError as error:
        raise _alone(path, "not valid YAML: nested too deeply") from error
    except YamlError as error:
        raise _alone(path, error.message, *error.position) from error


def _alone(path: Path, message: str, line: int | None = None, column: int | None = None) -> ConfigError:
    return ConfigError((Problem(str(path), line, column, "", Level.ERROR, message),))


class _Judge:
    """Collects the problems of one file: of its text, of each value, of values together."""

    def __init__(self, path: Path, source: Source, texts: Mapping[Override, str], *, rules: Sequence[Rule]) -> None:
        self._locator = Locator(str(path), source, {override.loc: override.origin for override in texts})
        self._folder = path.parent.absolute()
        self._values = environment.applied(source.values, texts)
        self._rules = rules
        self._broken: set[Loc] = {finding.loc for finding, _ in source.findings}
        self.problems = [self._locator.at(finding, position) for finding, position in source.findings]

    def verdict(self) -> Config | None:
        """The configuration in force; None when it cannot be judged whole."""
        written = self._validated(self._values)
        if written is None:
            written = self._second_look()
        if written is None:
            return None
        config = merge.in_force(written)
        for finding in self._judged(config, written):
            if not self._follows(finding):
                self._add(finding)
        return config

    def _validated(self, values: Any) -> Config | None:
        try:
            return Config.model_validate(values, context=self._folder)
        except ValidationError as error:
            findings = list(explain(error, self._locator.source))
        for finding in findings:
            if finding.loc not in self._broken and not self._broken.intersection(finding.related):
                self._add(finding)
        self._broken.update(loc for finding in findings for loc in (finding.related or (finding.loc,)))
        return None

    def _second_look(self) -> Config | None:
        """What is left without the broken keys; its problems are reported beside theirs."""
        values, dropped = repaired(self._values, self._broken)
        self._broken |= dropped
        try:
            return Config.model_validate(values, context=self._folder)
        except ValidationError:
            return None

    def _judged(self, config: Config, written: Config) -> Iterator[Finding]:
        for rule in self._rules:
            yield from rule(config, written, self._locator)

    def _follows(self, finding: Finding) -> bool:
        """Whether it is about a key that is wrong already."""
        return any(_within(loc, broken) for loc in (finding.loc, *finding.related) for broken in self._broken)

    def _add(self, finding: Finding) -> None:
        problem = self._locator.problem(finding)
        if problem.file.startswith("flag:"):
            raise FlagError(f"{problem.file.removeprefix('flag:')}: {problem.message}")
        self.problems.append(problem)


def _within(loc: Loc, broken: Iterable[str | int]) -> bool:
    key = tuple(broken)
    return loc[: len(key)] == key
