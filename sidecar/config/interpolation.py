"""`${VAR}`, `${VAR:-default}` and `$$` in the values of the YAML.

As in a shell, the default also stands in for a variable that is set but empty. A lone dollar sign is itself.
"""

import re
from collections.abc import Mapping
from typing import Final

_MARK: Final = re.compile(
    r"\$(?:(?P<dollar>\$)|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}|(?P<bad>\{))"
)


class UnsetError(LookupError):
    """A variable is not set and has no default, or the braces hold something else; the message tells which."""


def expand(text: str, environ: Mapping[str, str]) -> str:
    """The text with every variable in its place; `UnsetError` when one cannot be had."""
    return _MARK.sub(lambda match: _replacement(match, environ), text)


def escape(text: str) -> str:
    """What `expand` turns into this text."""
    return text.replace("$", "$$")


def _replacement(match: re.Match[str], environ: Mapping[str, str]) -> str:
    name, default = match["name"], match["default"]
    if match["dollar"]:
        return "$"
    if match["bad"]:
        raise UnsetError("a '${' that is no variable: write ${NAME}, ${NAME:-default}, or $$ for a dollar sign")
    value = environ.get(name)
    if value is None and default is None:
        raise UnsetError(f"environment variable {name} is not set and has no default")
    return value or default or ""
