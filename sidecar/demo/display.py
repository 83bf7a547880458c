"""What the terminal shows while the story goes on: the steps on lines of their own, and below them a live table.

Where the output is no terminal the table becomes a plain line every five seconds.
"""

from collections.abc import Sequence
from typing import TextIO

from sidecar.demo.verdict import Tally, aligned

_PERIOD_TERMINAL, _PERIOD_PLAIN = 0.2, 5.0
"""Seconds between two looks at the counts."""


class Display:
    """Writes to `out`; `now` is seconds on the caller's clock, and the story's time starts with `begin`."""

    def __init__(self, out: TextIO, direct: Tally, through: Tally) -> None:
        self.rescued = 0
        self._out = out
        self._direct = direct
        self._through = through
        self._terminal = out.isatty()
        self._began = 0.0
        self._next = float("inf")
        self._drawn = 0

    def say(self, text: str) -> None:
        """A line without a time."""
        self._write(f"{text}\n")

    def begin(self, now: float) -> None:
        """The load starts; from here on `refresh` shows the counts."""
        self._began = self._next = now
        self.refresh(now)

    def note(self, text: str, now: float) -> None:
        """Tells one step of the story."""
        self._write(f"{self._erased()}{now - self._began:5.1f} s  {text}\n")
        self._draw(now)

    def refresh(self, now: float) -> None:
        """Shows the counts when it is time to; cheap enough to be called often."""
        if now < self._next:
            return
        self._next = now + (_PERIOD_TERMINAL if self._terminal else _PERIOD_PLAIN)
        if self._terminal:
            self._write(self._erased())
            self._draw(now)
        else:
            self._write(f"{self._line(now)}\n")

    def end(self) -> None:
        """Takes the live table away: the closing one follows."""
        self._write(self._erased())
        self._next = float("inf")

    def _draw(self, now: float) -> None:
        if self._terminal:
            table = self._table(now)
            self._drawn = table.count("\n") + 1
            self._write(f"{table}\n")

    def _erased(self) -> str:
        """The way back over what was drawn."""
        drawn, self._drawn = self._drawn, 0
        return f"\033[{drawn}A\033[J" if drawn else ""

    def _table(self, now: float) -> str:
        return aligned([(f"{now - self._began:5.1f} s", "calls", "failed", "rescued"), *self._rows()])

    def _rows(self) -> Sequence[Sequence[str]]:
        return [
            (f"  {self._direct.name}", str(self._direct.calls), str(self._direct.failed), "-"),
            (f"  {self._through.name}", str(self._through.calls), str(self._through.failed), str(self.rescued)),
        ]

    def _line(self, now: float) -> str:
        direct, through = self._direct, self._through
        return (
            f"{now - self._began:5.1f} s  {direct.name}: {direct.calls} calls, {direct.failed} failed; "
            f"{through.name}: {through.calls} calls, {through.failed} failed, {self.rescued} rescued"
        )

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()
