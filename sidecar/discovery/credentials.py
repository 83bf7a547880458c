"""What shows the registry who we are: a password, a signing key. No secret ever stands in a repr or a message.

A secret in a file is read each time it is asked for: whoever rotates it writes the file and tells nobody. One that is
empty is about to be written, or was mounted wrong; nobody is to be asked whether it is right.
"""

from dataclasses import dataclass, field
from pathlib import Path


class SecretError(Exception):
    """A secret that cannot be had; the text says which file and why."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A text, or the file that holds it."""

    text: str | None = field(default=None, repr=False)
    file: Path | None = None

    def read(self) -> str:
        """The secret of now, without the newline that editors leave behind; raises SecretError."""
        if self.file is None:
            return self.text or ""
        try:
            secret = self.file.read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r")
        except OSError as error:
            raise SecretError(f"{self.file}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise SecretError(f"{self.file}: not UTF-8") from error
        if not secret:
            raise SecretError(f"{self.file}: is empty")
        return secret


@dataclass(frozen=True, slots=True)
class User:
    """Who logs in."""

    name: str
    password: Secret


@dataclass(frozen=True, slots=True)
class AccessKey:
    """What requests are signed with; the id is no secret."""

    id: str
    secret: Secret
