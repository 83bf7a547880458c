"""Secrets, and where they come from."""

from pathlib import Path

import pytest

from sidecar.discovery.credentials import Secret, SecretError, User


def test_a_file_is_read_anew_without_its_last_newline(tmp_path: Path) -> None:
    """What an editor or a mounted Secret holds now is the secret; blanks belong to it."""
    file = tmp_path / "password"
    secret = Secret(file=file)
    for text, found in (("one\n", "one"), ("two\r\n", "two"), (" three\n\n", " three\n")):
        file.write_bytes(text.encode())
        assert secret.read() == found


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """With the reason, and without what it holds."""
    with pytest.raises(SecretError, match="none: No such file"):
        Secret(file=tmp_path / "none").read()
    (tmp_path / "bad").write_bytes(b"\xffhush")
    with pytest.raises(SecretError, match="bad: not UTF-8") as caught:
        Secret(file=tmp_path / "bad").read()
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "\n", "\r\n"])
def test_an_empty_file_holds_no_secret(tmp_path: Path, text: str) -> None:
    """Whoever rotates it may empty it first."""
    (tmp_path / "password").write_bytes(text.encode())
    with pytest.raises(SecretError, match="password: is empty"):
        Secret(file=tmp_path / "password").read()


def test_no_secret_stands_in_a_repr() -> None:
    """Neither alone nor inside of what holds it."""
    assert "hush" not in repr(User("me", Secret("hush")))
    assert Secret("hush").read() == "hush"
    assert Secret().read() == ""
