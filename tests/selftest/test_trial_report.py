"""The page and the picture of the trial."""

from dataclasses import replace
from xml.etree import ElementTree as ET

from tests.selftest.test_trial_verdict import KILL, call, counted, lost, verdict
from tests.trial.counts import Mark
from tests.trial.picture import picture
from tests.trial.report import report, summary
from tests.trial.row import Played, Result, Row, nothing

ROW = Row("kill", "kill -9 & more", nothing)


def result(*, harmed: bool = True) -> Result:
    """A row in which one POST of the sidecar was lost, with or without excuse, and half of the direct caller's calls."""
    sidecar = [call(0), lost(id="s1")]
    found = verdict(*sidecar, harms=[KILL] if harmed else [], books={"rescued": {"retry": 7, "wait": 0}})
    direct = counted(call(0), call(1, status=0))
    counts = {"direct, list of 30 s": direct, "Envoy 1.2.3": counted(call(0)), "nacos-sidecar 1.0": found.sidecar}
    marks = [Mark(10.0, "kill -9"), Mark(10.5, "kill -9")]
    return Result(ROW, "Nacos 9", Played(9.0, 2.0, 200.0, counts, marks, found))


def page(*results: Result) -> str:
    return report(results, date="2026-01-31", took=61.0, pictures={"Nacos 9": "trial-9.svg"})


def test_the_table_has_a_column_for_each_caller_and_tells_what_was_rescued() -> None:
    """Shares for the others; of the sidecar's failures how many are excused."""
    (line,) = [line for line in page(result()).splitlines() if "1 excused" in line]
    assert [cell.strip() for cell in line.split("|")[1:-1]] == [
        ROW.title,
        "50.0 %",
        "0",
        "50.0 %, 1 excused",
        "0",
        "retry 7",
    ]
    (line,) = [line for line in page(result(harmed=False)).splitlines() if "without excuse**" in line]
    assert "50.0 %, **1 without excuse**" in line
    assert "![errors per second of each caller in each row](trial-9.svg)" in page(result())


def test_each_failed_call_of_the_sidecar_is_listed_by_its_id() -> None:
    """With its excuse, or set off."""
    assert "- kill -9 & more: POST s1 (502): was on it when it was killed, 127.0.0.1:1" in page(result())
    assert "- **kill -9 & more: POST s1, 502 UC closed 127.0.0.1:1 attempts=1**" in page(result(harmed=False))


def test_every_caller_has_its_figures() -> None:
    """Calls, failed ones by method, what was executed all the same, repeated ones, and times."""
    (line,) = [line for line in page(result()).splitlines() if "| nacos-sidecar 1.0" in line and "ms" in line]
    cells = [cell.strip() for cell in line.split("|")[2:-1]]
    assert cells == ["nacos-sidecar 1.0", "2", "50.0 %", "0", "1", "0", "0", "0", "300 ms", "300 ms", "300 ms"]


def test_the_sidecars_times_stand_beside_what_bounds_them() -> None:
    """Whoever sees a long one is told why."""
    (line,) = [line for line in page(result()).splitlines() if ROW.longest in line]
    assert [cell.strip() for cell in line.split("|")[1:-1]] == [ROW.title, "300 ms", "300 ms", "300 ms", ROW.longest]


def test_the_summary_names_rows_that_are_not_as_promised() -> None:
    """A row that could not be played is one; a row that was skipped is none."""
    broken = Result(ROW, "Nacos 9", why_not="TimeoutError: ")
    assert summary([result(), result(harmed=False), broken, replace(broken, skipped=True)]) == [
        "4 rows, 2 not as promised.",
        "- kill -9 & more (Nacos 9): 1 calls failed without excuse",
        "- kill -9 & more (Nacos 9): TimeoutError: ",
    ]
    assert summary([result()]) == ["1 rows, all as promised."]


def test_the_summary_tells_doubt_from_failure() -> None:
    """What the machine was too slow for has broken no promise, and shows less."""
    good = result()
    assert good.played is not None
    slow = replace(good, played=replace(good.played, verdict=replace(good.played.verdict, rate=1000.0)))
    first, second = summary([slow])
    assert first == "1 rows, all as promised, 1 doubtful."
    assert second.startswith("- kill -9 & more (Nacos 9): only ")


def test_the_picture_shows_errors_where_they_were_and_marks_once() -> None:
    """A bar for the failed calls, none for a caller that lost nothing, a line for each mark and a word for the first."""
    root = ET.fromstring(picture([result(), Result(ROW, "Nacos 9")]))
    drawn = [(path.get("class"), path.get("d")) for path in root.findall(".//{*}path")]
    bars, lines = ([d for kind, d in drawn if kind == wanted] for wanted in ("error", "mark"))
    left, width = 86, 370
    assert [bar.split(" ")[0] for bar in bars if bar] == [f"M{left + 0.75 / 2 * width:.1f}"] * 2
    assert len(lines) == 2
    said = [element.text for element in root.findall(".//{*}text")]
    assert said.count("kill -9") == 1
    assert {"direct", "Envoy", "sidecar"} <= set(said)
