"""Variables in values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.config.interpolation import UnsetError, escape, expand

ENVIRON = {"HOST": "db", "PORT": "80", "EMPTY": ""}


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("${HOST}:${PORT}", "db:80"),
        ("${NONE:-x}", "x"),
        ("${NONE:-}", ""),
        ("${HOST:-x}", "db"),
        ("${EMPTY:-x}", "x"),
        ("${EMPTY}", ""),
        ("$$", "$"),
        ("$${HOST}", "${HOST}"),
        ("$$${HOST}", "$db"),
        ("$HOST 5$", "$HOST 5$"),
        ("${NONE:-a:-b}", "a:-b"),
    ],
)
def test_variables_defaults_and_dollar_signs(text: str, expanded: str) -> None:
    """A variable, its default where unset or empty, an escaped dollar; a lone dollar is itself."""
    assert expand(text, ENVIRON) == expanded


def test_an_unset_variable_is_named() -> None:
    """Without a default it is an error, not an empty text."""
    with pytest.raises(UnsetError, match=r"^environment variable NONE is not set and has no default$"):
        expand("a ${NONE} b", ENVIRON)


@pytest.mark.parametrize("text", ["${", "${}", "${1A}", "${A", "${A-b}", "${a b}"])
def test_braces_that_hold_no_variable_are_an_error(text: str) -> None:
    """A typing mistake is not taken for text."""
    with pytest.raises(UnsetError, match=r"write \$\{NAME\}"):
        expand(text, ENVIRON)


@given(st.text())
def test_escaped_text_expands_to_itself(text: str) -> None:
    """Whatever the text holds, `escape` makes it safe to stand in a file."""
    assert expand(escape(text), ENVIRON) == text


@given(value=st.text(), before=st.text(), after=st.text())
def test_a_value_is_put_in_as_it_is(value: str, before: str, after: str) -> None:
    """What a variable holds is not expanded again."""
    text = f"{escape(before)}${{V:-}}{escape(after)}"
    assert expand(text, {"V": value}) == before + value + after
