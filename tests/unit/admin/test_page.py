"""The status page as a browser gets it."""

import base64
import hashlib
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from sidecar.admin import views
from sidecar.admin.health import Latch
from sidecar.admin.page import HEADERS, LOOKS, SHOWN, page
from sidecar.cluster.cluster import Cluster
from sidecar.cluster.endpoint import State
from sidecar.cluster.instance import Instance
from sidecar.errors import FAILURES
from tests.support.clusters import Even, Stage, at

INFO = views.ServerInfo(
    version="1.0.0",
    state="LIVE",
    started_at=1000.0,
    uptime_s=3700.0,
    pid=1,
    python="3.11.7",
    loop="uvloop",
    config=views.ConfigInfo(path="sidecar.yaml", sha256="9f" * 32, loaded_at=1940.0),
    listeners=(views.ListenerInfo("orders", "127.0.0.1:0", "127.0.0.1:15101"),),
    registry=views.RegistryInfo(connected=True, server="10.0.0.9:8848", version="2.5.1", since=1000.0),
)

VOID = {"meta", "input", "link", "br"}


class Reader(HTMLParser):
    """Texts by element, and whether every element is closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and data.strip():
            self.texts.append((self.open[-1], data.strip()))

    def __getitem__(self, tag: str) -> list[str]:
        return [text for element, text in self.texts if element == tag]


@pytest.fixture
def orders() -> Stage:
    stage = Stage(rng=Even())
    stage.lists("abc")
    return stage


def _text(
    *clusters: Cluster, now: float = 100.0, info: views.ServerInfo = INFO, latches: tuple[Latch, ...] = ()
) -> str:
    return "".join(page(clusters, latches, views.Moment(now, 1900.0 + now, info)))


def _rows(reader: Reader) -> Iterator[str]:
    return iter(reader["td"])


def test_the_page_shows_services_and_endpoints(orders: Stage) -> None:
    """Name, ways in, age of the list, a count by state; of each endpoint address, state, load, weight, remark."""
    orders.call(500, on="a")
    orders.now += 2
    read = Reader(_text(orders.cluster, now=orders.now))
    assert read["h2"] == ["orders"]
    assert "3 available" in read["b"]
    assert any(text.endswith("list from nacos, confirmed 2.0s ago") for text in read["p"])
    cells = list(_rows(read))
    assert cells[:6] == [at("a"), "0", "1", "1", "1", "last failure: 500, 2.0s ago"]


def test_the_head_tells_of_process_configuration_and_registry() -> None:
    """Version, state, age of the configuration, whom we are connected to and for how long."""
    read = Reader(_text())
    assert (read["small"], read["b"]) == (["1.0.0"], ["LIVE"])
    assert read["dd"] == [
        "1h1m",
        "sidecar.yaml (9f9f9f9f9f9f), loaded 1m ago",
        "connected to 10.0.0.9:8848 (Nacos 2.5.1) for 16m40s",
    ]


@pytest.mark.parametrize(
    ("registry", "shown"),
    [
        (None, "none, every service is static"),
        (views.RegistryInfo(connected=False, since=1990.0), "not connected for 10s; the lists stand as they were"),
        (views.RegistryInfo(connected=False), "not connected; the lists stand as they were"),
        (views.RegistryInfo(connected=True, server="r:1"), "connected to r:1"),
    ],
)
def test_the_registry_is_told_as_it_stands(registry: views.RegistryInfo | None, shown: str) -> None:
    """Also that what we know is used on while it is away."""
    assert Reader(_text(info=replace(INFO, registry=registry)))["dd"][-1] == shown


def test_what_keeps_it_from_being_ready_is_told() -> None:
    """Closed latches with their reasons, and a reload that was refused."""
    config = replace(INFO.config, last_reload_ok=False)
    closed = Latch("service/orders", open=False, why="no instance list yet")
    facts = Reader(_text(info=replace(INFO, config=config), latches=(closed, Latch("config", open=True))))["dd"]
    assert facts[1].endswith("loaded 1m ago; the last reload was refused")
    assert facts[3] == "service/orders: no instance list yet"


def test_a_hold_is_told_with_its_reason_and_its_end(orders: Stage) -> None:
    """What is held, since when, why, for how long at most; an order of the operator beside it."""
    orders.lists("")
    orders.now += 30
    assert (
        "3 held for 30s, because the list is empty; 9m30s at most to go"
        in Reader(_text(orders.cluster, now=orders.now))["p"]
    )
    orders.cluster.registry_disconnected(orders.now)
    orders.cluster.hold(3600, orders.now)
    alerts = Reader(_text(orders.cluster, now=orders.now))["p"]
    assert "3 held for 30s, because the list is empty; no end while the registry is away" in alerts
    assert "by order of the operator nothing is removed for another 1h" in alerts


def test_verdicts_stand_beside_the_state(orders: Stage) -> None:
    """A ghost answers though it is not listed."""
    orders.lists("")
    orders.probe("a")
    assert Reader(_text(orders.cluster, now=orders.now))["b"].count("ghost") == 1


def test_a_service_without_instances_says_so() -> None:
    """No list yet and an empty one are two things."""
    stage = Stage()
    assert "no list yet" in Reader(_text(stage.cluster))["b"]
    stage.lists("")
    stage.wait(6)
    assert "no instances" in Reader(_text(stage.cluster, now=stage.now))["b"]


def test_of_a_large_service_the_troubled_ones_are_shown_first() -> None:
    """So many rows and no more; the rest is counted."""
    stage = Stage()
    stage.lists([Instance(f"10.1.{n // 250}.{n % 250}", 80) for n in range(SHOWN + 50)])
    last = list(stage.cluster.endpoints.values())[-1]
    last.in_flight += 1
    stage.cluster.report_failure(last, FAILURES["refused"], stage.now)
    text = _text(stage.cluster, now=stage.now)
    assert text.count("<tr><td>") == SHOWN
    assert last.address in text
    assert "50 endpoints are not shown here" in text


def test_every_state_has_a_colour() -> None:
    """A new state cannot be forgotten."""
    assert LOOKS.keys() == set(State)


def test_whatever_comes_from_outside_is_escaped() -> None:
    """Markup in a name, an address or a reason is text."""
    evil = '<img src=x onerror="alert(1)">'
    stage = Stage(hosts=(evil,))
    stage.lists([Instance(evil, 80)])
    info = replace(
        INFO, registry=views.RegistryInfo(connected=True, server=evil), config=replace(INFO.config, path=evil)
    )
    text = _text(stage.cluster, info=info, latches=(Latch(evil, open=False, why=evil),))
    assert "<img" not in text
    assert text.count("&lt;img src=x onerror=&quot;alert(1)&quot;&gt;") == 6


def test_nothing_is_loaded_from_anywhere(orders: Stage) -> None:
    """No attribute that fetches, no inline handler and no inline style; links stay on this port."""
    reader = Reader(_text(orders.cluster))
    names = {name for _, name, _ in reader.attributes}
    assert not names & {"src", "style", "srcset", "action"}
    assert not any(name.startswith("on") for name in names)
    links = [value or "" for tag, name, value in reader.attributes if name == "href"]
    assert links
    assert all(link.startswith("/") and not link.startswith("//") for link in links)


def test_the_policy_allows_the_pages_own_style_and_script_and_nothing_else() -> None:
    """`default-src 'none'`, and the hashes are those of what stands in the page."""
    policy = dict(part.split(" ", 1) for part in HEADERS["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    text = _text()
    for tag, directive in (("style", "style-src"), ("script", "script-src")):
        (inside,) = re.findall(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert policy[directive] == f"'sha256-{digest}'"
        assert "url(" not in inside
        assert tag == "style" or inside.count("\n") <= 30
