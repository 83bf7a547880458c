"""YAML text to plain values, with the position of every key and value.

Why events and not the loader's own objects: explicit tags, duplicate keys and merge keys stay visible, no depth of
nesting reaches the C stack, and a position costs nothing until somebody asks for it.

Variables are put in before a plain value gets its type, so `${PORT}` can become a number. Plain words read as in
YAML 1.1 (`yes` and `on` are booleans), except that octal and sexagesimal numbers and dates stay text: `010` is no
8 to anyone who writes a configuration.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from sidecar.config.interpolation import UnsetError, expand
from sidecar.config.report import At, Finding, Loc

MAX_BYTES: Final = 1 << 20
MAX_NODES: Final = 100_000
MAX_DEPTH: Final = 64
"""The deepest key of the contract is on level 6; metadata cannot nest either."""

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_PLAIN: Final = re.compile(
    r"(?P<int>[-+]?(?:0|[1-9][0-9]{0,17}))"
    r"|(?P<float>[-+]?[0-9]+\.[0-9]*(?:[eE][-+][0-9]{1,3})?|\.[0-9]+)"
    r"|(?P<true>true|True|TRUE|yes|Yes|YES|on|On|ON)"
    r"|(?P<false>false|False|FALSE|no|No|NO|off|Off|OFF)"
    r"|(?P<null>~|null|Null|NULL|)"
)

_WORDS: Final[Mapping[str | None, bool | None]] = {"true": True, "false": False, "null": None}

_HINTS: Final = {
    "'\\t'": "indent with spaces",
    "cannot start any token": "indent with spaces, and quote text that starts with one of @ ` % &",
    "mapping values are not allowed": "quote text that contains ': '",
}

Position = tuple[int, int]
"""Line and column, from 1."""


class YamlError(Exception):
    """The text cannot be read at all; reported alone."""

    def __init__(self, message: str, position: Position = (1, 1)) -> None:
        super().__init__(message)
        self.message = message
        self.position = position


@dataclass(slots=True)
class Node:
    """One value and where it stands; `text` is a scalar's, variables put in."""

    position: Position
    value: Any
    text: str | None = None
    interpolated: bool = False
    size: int = 1
    keys: dict[str, Position] = field(default_factory=dict)
    children: dict[str | int, "Node"] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Source:
    """A document: its values, its tree of positions, and what the text alone shows to be wrong."""

    root: Node
    findings: tuple[tuple[Finding, Position], ...]

    @property
    def values(self) -> Any:
        """Dictionaries, lists, text, numbers, booleans and None."""
        return self.root.value

    def node(self, loc: Loc) -> Node | None:
        """The value at exactly this place."""
        found: Node | None = self.root
        for step in loc:
            found = found.children.get(step) if found else None
        return found

    def position(self, loc: Loc, at: At = At.VALUE) -> Position:
        """Of the key or value, or of the nearest mapping or list around it."""
        for end in range(len(loc), 0, -1):
            parent = self.node(loc[: end - 1])
            if parent is None or loc[end - 1] not in parent.children:
                continue
            if at is At.KEY and end == len(loc) and loc[-1] in parent.keys:
                return parent.keys[str(loc[-1])]
            return parent.children[loc[end - 1]].position
        return self.root.position


def parse(text: str, environ: Mapping[str, str]) -> Source:
    """Raises `YamlError` for what is no single, bounded YAML document."""
    try:
        builder = _Builder(text, environ)
        return Source(builder.document(), tuple(builder.findings))
    except yaml.YAMLError as error:
        raise _syntax_error(error, text) from error


class _Builder:
    """Turns the parser's events into nodes, one document, depth first."""

    def __init__(self, text: str, environ: Mapping[str, str]) -> None:
        self.findings: list[tuple[Finding, Position]] = []
        self._environ = environ
        self._anchors: dict[str, Node] = {}
        self._size = 0
        self._loader = _LOADER(text)

    def document(self) -> Node:
        """The root; an empty file is an empty mapping."""
        self._next()
        if isinstance(self._next(), yaml.StreamEndEvent):
            return Node((1, 1), {})
        root = self._node(self._next(), ())
        self._next()
        event = self._next()
        if not isinstance(event, yaml.StreamEndEvent):
            raise YamlError("several documents in one file: keep one, without a second '---'", _mark(event))
        return root

    def _next(self) -> Any:
        return self._loader.get_event()

    def _node(self, event: Any, loc: Loc) -> Node:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        self._count(1, event)
        if len(loc) > MAX_DEPTH:
            raise YamlError(f"nested deeper than {MAX_DEPTH} levels", _mark(event))
        if event.tag is not None:
            self._report(loc, f"tags are not supported, got {event.tag}: remove it", _mark(event))
        node = self._build(event, loc)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _build(self, event: Any, loc: Loc) -> Node:
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event, loc)
        before = self._size
        node = self._mapping(event, loc) if isinstance(event, yaml.MappingStartEvent) else self._sequence(event, loc)
        node.size = 1 + self._size - before
        return node

    def _alias(self, event: Any) -> Node:
        node = self._anchors.get(event.anchor)
        if node is None:
            raise YamlError(f"alias *{event.anchor} has no anchor before it", _mark(event))
        self._count(node.size, event)
        return node

    def _count(self, nodes: int, event: Any) -> None:
        self._size += nodes
        if self._size > MAX_NODES:
            raise YamlError(f"more than {MAX_NODES} values", _mark(event))

    def _sequence(self, start: Any, loc: Loc) -> Node:
        node = Node(_mark(start), [])
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            index = len(node.value)
            child = self._node(event, (*loc, index))
            node.value.append(child.value)
            node.children[index] = child
        return node

    def _mapping(self, start: Any, loc: Loc) -> Node:
        node = Node(_mark(start), {})
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            key = self._key(event, loc)
            fresh = key is not None and key not in node.value
            child = self._node(self._next(), (*loc, key or ""))
            if key is None:
                continue
            if not fresh:
                self._report((*loc, key), f"duplicate key '{key}'", _mark(event), At.KEY)
                continue
            node.value[key] = child.value
            node.keys[key] = _mark(event)
            node.children[key] = child
        return node

    def _key(self, event: Any, loc: Loc) -> str | None:
        """The key as text; None, reported, when it is no key of ours."""
        if not isinstance(event, yaml.ScalarEvent):
            self._node(event, loc)
            self._report(loc, "a key must be text: quote what starts with { or [", _mark(event))
            return None
        self._count(1, event)
        if event.tag is not None:
            self._report(loc, f"tags are not supported, got {event.tag}: remove it", _mark(event))
        if event.value == "<<" and not event.style:
            message = "merge keys (<<) are not supported: write the keys out, or use 'defaults'"
            self._report((*loc, "<<"), message, _mark(event), At.KEY)
            return None
        return str(event.value)

    def _scalar(self, event: Any, loc: Loc) -> Node:
        text, interpolated = event.value, False
        if "$" in text:
            try:
                text = expand(event.value, self._environ)
            except UnsetError as error:
                self._report(loc, str(error), _mark(event))
                return Node(_mark(event), None)
            interpolated = "${" in event.value
        value = text if event.style else _plain(text)
        return Node(_mark(event), value, text, interpolated)

    def _report(self, loc: Loc, message: str, position: Position, at: At = At.VALUE) -> None:
        self.findings.append((Finding(loc, message, at), position))


def _syntax_error(error: yaml.YAMLError, text: str) -> YamlError:
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        before = text[: getattr(error, "position", 0)]
        position = before.count("\n") + 1, len(before) - before.rfind("\n")
        return YamlError(f"not valid YAML: {getattr(error, 'reason', error)}", position)
    problem = str(getattr(error, "problem", error))
    hint = _hint(problem, text.splitlines(), mark.line)
    return YamlError(f"not valid YAML: {problem}{hint}", (mark.line + 1, mark.column + 1))


def _hint(problem: str, lines: list[str], line: int) -> str:
    if line < len(lines) and "${" in lines[line]:
        return ' (inside […] and {…} a variable needs quotes: "${NAME}")'
    return next((f" ({hint})" for sign, hint in _HINTS.items() if sign in problem), "")


def _mark(event: Any) -> Position:
    return event.start_mark.line + 1, event.start_mark.column + 1


def _plain(text: str) -> Any:
    """The value of an unquoted scalar."""
    match = _PLAIN.fullmatch(text)
    if match is None:
        return text
    if match.lastgroup == "int":
        return int(text)
    return float(text) if match.lastgroup == "float" else _WORDS[match.lastgroup]
