"""What the terminal shows: a table in place, or plain lines where there is no terminal."""

import io
import re

import pytest

from sidecar.demo.display import Display
from sidecar.demo.verdict import Tally


class Terminal(io.StringIO):
    """A screen that understands the two codes in use: up by lines, and clear below."""

    def isatty(self) -> bool:
        return True

    @property
    def screen(self) -> list[str]:
        """What a person sees."""
        lines: list[str] = []
        for line in self.getvalue().splitlines():
            while up := re.match(r"\033\[(\d+)A\033\[J", line):
                del lines[len(lines) - int(up[1]) :]
                line = line[up.end() :]  # noqa: PLW2901 - what is left of it
            lines.append(line)
        return [line for line in lines if line]


@pytest.fixture
def tallies() -> tuple[Tally, Tally]:
    return Tally("direct"), Tally("sidecar")


def test_a_terminal_shows_one_table_that_changes_in_place(tallies: tuple[Tally, Tally]) -> None:
    """After many looks there is still one table, with the newest counts."""
    out = Terminal()
    display = Display(out, *tallies)
    display.begin(100.0)
    for quarter in range(1, 21):
        tallies[0].fail("refused")
        tallies[1].succeed(0.1)
        display.rescued = quarter
        display.refresh(100.0 + quarter / 4)
    assert [line.split() for line in out.screen] == [
        ["5.0", "s", "calls", "failed", "rescued"],
        ["direct", "20", "20", "-"],
        ["sidecar", "20", "0", "20"],
    ]


def test_notes_stand_above_the_table(tallies: tuple[Tally, Tally]) -> None:
    """Steps stay on the screen in their order while the table goes on below them."""
    out = Terminal()
    display = Display(out, *tallies)
    display.say("starting")
    display.begin(0.0)
    display.note("first", 1.0)
    display.refresh(1.5)
    display.note("second", 2.0)
    assert out.screen[:3] == ["starting", "  1.0 s  first", "  2.0 s  second"]
    assert len(out.screen) == 6


def test_the_table_goes_when_the_closing_one_comes(tallies: tuple[Tally, Tally]) -> None:
    """The end leaves only the steps, and no later look brings the table back."""
    out = Terminal()
    display = Display(out, *tallies)
    display.begin(0.0)
    display.note("first", 1.0)
    display.end()
    display.refresh(100.0)
    assert out.screen == ["  1.0 s  first"]


def test_a_terminal_is_written_to_five_times_a_second(tallies: tuple[Tally, Tally]) -> None:
    """More looks than that change nothing."""
    out = Terminal()
    display = Display(out, *tallies)
    display.begin(0.0)
    written = out.getvalue()
    display.refresh(0.19)
    assert out.getvalue() == written
    display.refresh(0.2)
    assert out.getvalue() != written


def test_elsewhere_a_line_comes_every_five_seconds(tallies: tuple[Tally, Tally]) -> None:
    """A log gets plain lines without control codes, one when the load begins and one each five seconds."""
    out = io.StringIO()
    display = Display(out, *tallies)
    display.refresh(0.0)
    display.begin(0.0)
    for second in range(1, 11):
        display.refresh(float(second))
    display.note("first", 10.5)
    display.end()
    lines = out.getvalue().splitlines()
    assert [line[:7] for line in lines] == ["  0.0 s", "  5.0 s", " 10.0 s", " 10.5 s"]
    assert lines[1] == "  5.0 s  direct: 0 calls, 0 failed; sidecar: 0 calls, 0 failed, 0 rescued"
    assert "\033" not in out.getvalue()
