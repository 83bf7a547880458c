"""Where a finding stands: in the file, in a variable, or on the command line."""

from collections.abc import Mapping
from dataclasses import dataclass

from sidecar.config.report import At, Finding, Loc, Problem, path_text
from sidecar.config.source import Position, Source


@dataclass(frozen=True, slots=True)
class Origin:
    """What overrode a key: a variable (`env`) or a flag, by name."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Locator:
    """Looks places up in one file and in what overrides it."""

    file: str
    source: Source
    origins: Mapping[Loc, Origin]

    def problem(self, finding: Finding) -> Problem:
        """A value merged from `defaults` is reported where it stands there."""
        loc = next((one for one in self._candidates(finding) if self.is_given(one)), finding.loc)
        origin = self.origin(loc)
        if origin is not None:
            return Problem(f"{origin.kind}:{origin.name}", None, None, path_text(loc), finding.level, finding.message)
        line, column = self.source.position(loc, finding.at)
        return Problem(self.file, line, column, path_text(loc), finding.level, finding.message)

    def at(self, finding: Finding, position: Position) -> Problem:
        """As `problem`, for a finding that came with its position."""
        return Problem(self.file, *position, path_text(finding.loc), finding.level, finding.message)

    def origin(self, loc: Loc) -> Origin | None:
        """What overrode this key or one around it."""
        return next((self.origins[loc[:end]] for end in range(len(loc), 0, -1) if loc[:end] in self.origins), None)

    def is_given(self, loc: Loc) -> bool:
        """Whether the key is anywhere, not left to its default."""
        return self.origin(loc) is not None or self.source.node(loc) is not None

    def is_in_clear(self, loc: Loc) -> bool:
        """Whether the file itself holds the value, not a variable."""
        node = self.source.node(loc)
        return self.origin(loc) is None and node is not None and not node.interpolated

    def order(self, loc: Loc) -> tuple[bool, Position]:
        """Sorts keys as a reader meets them: defaults, then the file, then what overrides it."""
        written = self.source.node(loc) is not None
        return self.origin(loc) is not None, self.source.position(loc, At.VALUE) if written else (0, 0)

    @staticmethod
    def _candidates(finding: Finding) -> list[Loc]:
        locs = (finding.loc, *finding.related)
        twins = [("defaults", *loc[2:]) for loc in locs if loc[:1] == ("services",) and len(loc) > 2]
        return [*locs, *twins]
