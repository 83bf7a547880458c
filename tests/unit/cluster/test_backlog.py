"""What is decided and not yet done."""

from sidecar.cluster.backlog import Backlog
from sidecar.cluster.events import Event, PanicEntered, PanicLeft


class Notebook:
    """Writes down what was done, when."""

    def __init__(self) -> None:
        self.done: list[tuple[str, float]] = []

    def note(self, item: str, now: float) -> list[Event]:
        self.done.append((item, now))
        return [PanicEntered(service=item), PanicLeft(service=item)]

    @property
    def items(self) -> str:
        return "".join(item for item, _ in self.done)


def test_a_slice_is_done_at_a_time_across_jobs() -> None:
    """Three items a slice: the second slice ends the first job and begins the next."""
    book, backlog = Notebook(), Backlog(3)
    backlog.put("abcd", book.note)
    backlog.put("efg", book.note)
    for now, done in ((1.0, "abc"), (2.0, "abcdef"), (3.0, "abcdefg")):
        assert backlog
        backlog.work(now)
        assert book.items == done
    assert not backlog
    assert [at for _, at in book.done] == [1.0] * 3 + [2.0] * 3 + [3.0]


def test_all_that_happened_comes_back_in_order() -> None:
    """Every event of every item of the slice."""
    backlog = Backlog(2)
    backlog.put("ab", Notebook().note)
    told = [(event.kind, event.service) for event in backlog.work(0.0)]
    assert told == [(kind, item) for item in "ab" for kind in ("panic_entered", "panic_left")]


def test_an_item_of_weight_ends_the_slice() -> None:
    """It is done, and nothing after it."""
    book, backlog = Notebook(), Backlog(3)
    backlog.put("a", book.note, weight=300)
    backlog.put("b", book.note)
    backlog.work(0.0)
    assert book.items == "a"


def test_what_comes_up_on_the_way_is_done_last() -> None:
    """An item may put more; nothing overtakes."""
    book, backlog = Notebook(), Backlog(10)

    def begin(item: str, now: float) -> list[Event]:
        backlog.put("xy", book.note)
        return book.note(item, now)

    backlog.put("a", begin)
    backlog.put("b", book.note)
    backlog.work(0.0)
    assert book.items == "abxy"


def test_without_items_there_is_nothing_to_do() -> None:
    """An empty job is none."""
    backlog = Backlog()
    backlog.put((), Notebook().note)
    assert not backlog
    assert backlog.work(0.0) == []
    assert repr(backlog) == "<Backlog of 0 jobs>"
