"""That the benchmark reads what wrk tells, judges by the bars, and shows it: figures made up here, none measured."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.bench import plot
from tests.bench.compare import DIRECT
from tests.bench.contender import Round
from tests.bench.growth import LARGEST, Size
from tests.bench.load import LoadError, read
from tests.bench.open_loop import at
from tests.bench.page import BEGIN, END, placed
from tests.bench.report import report
from tests.bench.results import ORDER, OURS, Results, bars
from tests.bench.ways import ADDRESS, HOST
from tests.bench.work import WORK

_TOLD = """\
Running 3s test @ http://127.0.0.1:8080/
  Latency Distribution
     50%  574.00us
     75%    1.20ms
     90%    2.00ms
     99%    7.08ms
  127821 requests in 3.00s, 30.11MB read
Requests/sec:  42607.00
"""


def results(**costs: float) -> Results:
    """One round of each row, with the same cost in each."""
    found = Results()
    for name in ORDER:
        found.titles[name] = f"{name} 1.0"
        one = Round(user=costs[name], system=0.0, busy=0.99, rate=1000.0, p50=0.001, p99=0.01, resident=1 << 20)
        found.rounds[name] = {work.key: [one, one] for work in WORK}
        found.fresh[name] = 1 << 20
    found.fixed = {name: [[0.001, 0.002, 0.003]] for name in ORDER} | {DIRECT: [[0.0005, 0.001, 0.001]]}
    return found


def test_the_report_of_wrk_is_read() -> None:
    """Requests, and percentiles in whatever unit."""
    told = read(_TOLD)
    assert (told.requests, told.seconds) == (127821, 3.0)
    assert (told.p50, told.p99) == pytest.approx((574e-6, 7.08e-3))
    assert read(_TOLD.replace("7.08ms", "1.02s ")).p99 == pytest.approx(1.02)


@pytest.mark.parametrize("trouble", ["  Non-2xx or 3xx responses: 3\n", "  Socket errors: connect 0, read 3\n"])
def test_a_round_with_bad_answers_is_none(trouble: str) -> None:
    """What fails fast would look cheap."""
    with pytest.raises(LoadError):
        read(_TOLD + trouble)


def test_a_bar_is_missed_by_whoever_costs_more_than_it_allows() -> None:
    """Between 0.6 and 0.8 of Envoy only the main row misses; beyond, all."""
    good = results(nginx=17, haproxy=19, envoy=50, sidecar=22)
    assert all(one.met for one in bars(good))
    worse = {one.claim for one in bars(results(nginx=17, haproxy=30, envoy=50, sidecar=35)) if not one.met}
    assert worse == {"60 B answer, 32 connections: CPU to Envoy"}
    bad = [one for one in bars(results(nginx=17, haproxy=19, envoy=50, sidecar=45)) if not one.met]
    assert len(bad) == len(WORK) + 1 + sum(work.large for work in WORK)


def test_the_tables_and_pictures_show_every_row_and_proxy() -> None:
    """Pictures are well-formed; the median stands in the table."""
    measured = results(nginx=17, haproxy=19, envoy=50, sidecar=22)
    text = report(measured)
    assert "| 22.0 (22.0-22.0) |" in text
    for picture in (plot.costs(measured), plot.latency(measured)):
        shown = "".join(ET.fromstring(picture).itertext())
        assert "sidecar 1.0" in shown
    for work in WORK:
        assert f"| {work.title} |" in text
        assert work.title in plot.costs(measured)


def test_growth_is_set_against_the_least_of_the_same_proxy() -> None:
    """What is only weighed has no cost; memory is told as what one more takes."""
    measured = Results()
    for name in ("envoy", OURS):
        sizes = [Size(1, 1, 1, [_round(20.0)], 1 << 20), Size(1, 50, 1, [_round(21.0)])]
        sizes.append(Size(200, 1, 200, [_round(30.0)], (1 << 20) + 199 * 2048))
        measured.sizes[name] = sizes
    measured.sizes[OURS].append(Size(1, LARGEST, 0, [], (1 << 20) + 1024 * (LARGEST - 1)))
    text = report(measured)
    assert "| sidecar | 1 | 1 | 50 | 21.0 (21.0-21.0) | 14.0 | 7.0 | 1.05 | 0.0 |" in text
    assert "An instance more takes 1.0 KiB, a service more 2 KiB." in text
    assert [(one.seen, one.met) for one in bars(measured)] == [(1.05, True), (1.5, False)]


def test_by_address_is_set_against_by_host_in_pairs_of_rounds() -> None:
    """The median of the ratios; a tenth more is allowed."""
    measured = Results(ways={HOST: [20.0, 40.0, 20.0], ADDRESS: [21.0, 42.0, 40.0]})
    assert "costs 1.05 times as much" in report(measured)
    (one,) = bars(measured)
    assert one.met
    assert one.seen == pytest.approx(1.05)


def _round(cost: float) -> Round:
    """A third of it in the kernel."""
    return Round(user=cost * 2 / 3, system=cost / 3, busy=0.99, rate=1000.0, p50=0.001, p99=0.01, resident=1 << 20)


def test_percentiles_are_values_that_were_seen() -> None:
    """Of a hundred the p99 is the last but none above it."""
    assert at([float(n) for n in range(100)], 0.99) == 99.0
    assert at([1.0], 0.999) == 1.0


def test_parts_of_a_run_can_be_measured_one_by_one(tmp_path: Path) -> None:
    """What is there already is kept; a part that is measured again replaces what it was."""
    file = tmp_path / "results"
    assert Results.read(file) == Results()
    measured = results(nginx=17, haproxy=19, envoy=50, sidecar=22)
    measured.save(file)
    assert Results.read(file) == measured


def test_a_recorded_run_replaces_the_one_before() -> None:
    """What people wrote around it stays; a page without a place is refused."""
    page = f"before\n{BEGIN}old\n{END}after\n"
    assert placed(page, "new") == f"before\n{BEGIN}\nnew\n{END}after\n"
    with pytest.raises(ValueError, match="no place"):
        placed("nothing", "new")
