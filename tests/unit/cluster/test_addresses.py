"""Who has which address, until when."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.cluster.addresses import MOST, SWEPT, Addresses, Claims, Departed, spelled

MEMORY = 600.0
A, B = "10.0.0.1:8080", "10.0.0.2:8080"
BOTH = frozenset({"orders", "stock"})


class Book:
    """Addresses with two services; the clock is the test's."""

    def __init__(self, memory: float = MEMORY, most: int = MOST) -> None:
        self.addresses = Addresses(memory, most=most)
        self.orders: Claims = self.addresses.of("orders")
        self.stock: Claims = self.addresses.of("stock")

    def owner(self, address: str, now: float) -> str | None:
        """The service that a call to it means."""
        claim = self.addresses.find(address, now, BOTH)
        return None if claim is None else claim.service


@pytest.fixture
def book() -> Book:
    return Book()


def test_a_listed_address_names_its_service(book: Book) -> None:
    """However long ago it was listed; any other address names nobody."""
    book.orders.lists(A, 0.0)
    assert book.owner(A, 1e9) == "orders"
    assert book.owner(B, 1e9) is None


def test_one_that_left_names_it_for_a_while(book: Book) -> None:
    """Until `memory` seconds after it left, not after the list missed it."""
    book.orders.lists(A, 0.0)
    book.orders.misses(A, 10.0)
    assert book.owner(A, 10.0 + 2 * MEMORY) == "orders"
    book.orders.lets_go(A, 2000.0)
    assert book.owner(A, 2000.0 + MEMORY - 1) == "orders"
    assert book.owner(A, 2000.0 + MEMORY) is None


def test_without_memory_only_addresses_in_use_count() -> None:
    """`0s`: who leaves is forgotten at once."""
    book = Book(memory=0.0)
    book.orders.lists(A, 0.0)
    assert book.owner(A, 1.0) == "orders"
    book.orders.lets_go(A, 2.0)
    assert book.owner(A, 2.0) is None


def test_of_two_services_the_one_that_lists_it_now_is_meant(book: Book) -> None:
    """Whoever came first, and however lately the other had it."""
    book.orders.lists(A, 0.0)
    book.stock.lists(A, 10.0)
    book.stock.lets_go(A, 20.0)
    assert book.owner(A, 21.0) == "orders"
    book.stock.lists(A, 30.0)
    book.orders.misses(A, 40.0)
    assert book.owner(A, 41.0) == "stock"


def test_of_two_services_that_had_it_the_last_is_meant(book: Book) -> None:
    """By when their lists missed it: one that is held longer has not listed it longer."""
    book.orders.lists(A, 0.0)
    book.stock.lists(A, 5.0)
    book.orders.misses(A, 10.0)
    book.stock.misses(A, 20.0)
    book.stock.lets_go(A, 20.0)
    assert book.owner(A, 21.0) == "stock"
    book.orders.lets_go(A, 60.0)
    assert book.owner(A, 61.0) == "stock"


def test_when_the_last_is_forgotten_the_one_before_it_counts(book: Book) -> None:
    """A service that holds the address is asked before nobody is."""
    book.orders.lists(A, 0.0)
    book.orders.misses(A, 10.0)
    book.stock.lists(A, 20.0)
    book.stock.lets_go(A, 30.0)
    assert book.owner(A, 30.0 + MEMORY - 1) == "stock"
    assert book.owner(A, 30.0 + MEMORY) == "orders"


def test_of_two_services_that_list_it_the_later_one_is_meant(book: Book) -> None:
    """A dead process is listed on for a while beside the one that got its address."""
    book.orders.lists(A, 0.0)
    book.stock.lists(A, 10.0)
    assert book.owner(A, 11.0) == "stock"
    book.orders.lists(A, 20.0)  # says nothing new
    assert book.owner(A, 21.0) == "stock"


def test_only_services_that_may_be_meant_are_found(book: Book) -> None:
    """An HTTP call to an address that two services have is not for the one that speaks something else."""
    book.orders.lists(A, 0.0)
    book.stock.lists(A, 10.0)
    claim = book.addresses.find(A, 11.0, {"orders"})
    assert claim is not None
    assert claim.service == "orders"
    assert book.addresses.find(A, 11.0, set()) is None


def test_one_that_comes_back_is_listed_as_if_it_had_never_left(book: Book) -> None:
    """And is not forgotten when its old departure would be."""
    book.orders.lists(A, 0.0)
    book.orders.lets_go(A, 10.0)
    book.orders.lists(A, 20.0)
    book.addresses.sweep(10.0 + 2 * MEMORY)
    assert book.owner(A, 10.0 + 2 * MEMORY) == "orders"
    assert list(book.addresses.departed()) == []


def test_what_is_forgotten_takes_no_memory(book: Book) -> None:
    """The sweep strikes out those whose time is over, and only those."""
    for number in range(100):
        address = f"10.0.1.{number}:80"
        book.orders.lists(address, 0.0)
        book.orders.lets_go(address, float(number))
    book.addresses.sweep(MEMORY + 49.0)
    assert repr(book.addresses) == "<Addresses 50, 50 left>"
    assert book.addresses.remembered("orders") == 50


def test_a_sweep_never_takes_long(book: Book) -> None:
    """However many are over at once: a bounded number is struck out each time, and none of them names anybody."""
    for number in range(2 * SWEPT + 1):
        address = f"10.{number >> 8}.{number & 255}.1:80"
        book.orders.lists(address, 0.0)
        book.orders.lets_go(address, 0.0)
    left = []
    for _ in range(3):
        book.addresses.sweep(MEMORY)
        left.append(book.addresses.remembered("orders"))
    assert left == [SWEPT + 1, 1, 0]


def test_of_too_many_the_newest_are_kept() -> None:
    """The memory is bounded, whatever comes and goes; those in use do not count."""
    book = Book(most=10)
    for number in range(30):
        address = f"10.0.1.{number}:80"
        book.orders.lists(address, float(number))
        if number >= 5:
            book.orders.lets_go(address, float(number))
    assert [one.address for one in book.addresses.departed()] == [f"10.0.1.{number}:80" for number in range(20, 30)]
    assert book.owner("10.0.1.0:80", 30.0) == "orders"
    assert book.owner("10.0.1.19:80", 30.0) is None


def test_closed_claims_have_left_and_say_nothing_more(book: Book) -> None:
    """A service that was given other instances remembers its old ones, and the old roster cannot take new ones away."""
    book.orders.lists(A, 0.0)
    book.orders.lists(B, 0.0)
    book.orders.close(10.0)
    new = book.addresses.of("orders")
    new.lists(A, 20.0)
    book.orders.lets_go(A, 30.0)
    book.orders.lists(B, 30.0)
    assert book.owner(A, 1e9) == "orders"
    assert list(book.addresses.departed()) == [Departed(B, "orders", 10.0)]


def test_a_service_that_is_dropped_is_named_by_nothing(book: Book) -> None:
    """Neither by its instances nor by its memories; another service at the same address is."""
    book.orders.lists(A, 0.0)
    book.orders.lists(B, 0.0)
    book.orders.lets_go(B, 1.0)
    book.stock.lists(B, 0.0)
    book.addresses.drop("orders")
    assert [book.owner(address, 2.0) for address in (A, B)] == [None, "stock"]
    assert book.addresses.remembered("orders") == 0


def test_what_a_process_remembered_the_next_one_knows(book: Book) -> None:
    """Each with the time that is left to it; what the new process knows already is better."""
    book.orders.lists(A, 100.0)
    kept = [Departed(B, "stock", 90.0), Departed(A, "orders", 95.0), Departed("10.0.0.3:80", "stock", 100.0 - MEMORY)]
    book.addresses.restore(kept, 100.0)
    assert list(book.addresses.departed()) == [Departed(B, "stock", 90.0)]
    assert book.owner(B, 90.0 + MEMORY - 1) == "stock"
    book.stock.lists(B, 200.0)
    assert book.owner(B, 1e9) == "stock"


def test_whoever_keeps_it_on_disk_sees_that_it_changed(book: Book) -> None:
    """`changes` grows with each departure and each return, and with nothing else."""
    book.orders.lists(A, 0.0)
    assert book.addresses.changes == 0
    book.orders.lets_go(A, 1.0)
    book.orders.lists(A, 2.0)
    assert book.addresses.changes == 2


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("10.0.0.1:8080", "10.0.0.1:8080"),
        ("10.0.0.1:08080", "10.0.0.1:8080"),
        ("10.0.0.1", "10.0.0.1:80"),
        ("10.0.0.1:", "10.0.0.1:80"),
        ("[2001:DB8:0::1]:8080", "[2001:db8::1]:8080"),
        ("[2001:db8::1]", "[2001:db8::1]:80"),
        ("Orders-0.Orders:8080", "orders-0.orders:8080"),
        ("2001:db8::1", "[2001:db8::1]:80"),
        ("10.0.0.1:x", "10.0.0.1:-1"),
        ("", ":80"),
    ],
)
def test_an_address_has_one_spelling(written: str, read: str) -> None:
    """Port 80 is what `http://` leaves out; what can be no port is none that anybody has."""
    assert spelled(written) == read


def test_app_and_registry_may_spell_an_address_in_their_own_ways(book: Book) -> None:
    """The claim has it as the registry does: endpoints are known by that."""
    book.orders.lists("[2001:DB8::1]:8080", 0.0)
    claim = book.addresses.find("[2001:db8:0:0::1]:8080", 1.0, BOTH)
    assert claim is not None
    assert claim.address == "[2001:DB8::1]:8080"


@given(st.text(max_size=30))
def test_whatever_an_app_writes_is_read(text: str) -> None:
    """No spelling is an error."""
    assert Addresses(MEMORY).find(text, 0.0, BOTH) is None


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["lists", "misses", "lets_go", "sweep"]),
            st.sampled_from(["orders", "stock"]),
            st.sampled_from([A, B]),
            st.floats(0.0, 400.0),
        ),
        max_size=60,
    )
)
def test_however_services_come_and_go_the_rule_holds(steps: list[tuple[str, str, str, float]]) -> None:
    """Held against the rule as one would write it down: who lists it, else who listed it last and is not forgotten."""
    book, now = Book(), 0.0
    known: dict[tuple[str, str], tuple[float, float, float]] = {}  # missed, listed, left
    for what, service, address, passed in steps:
        now += passed
        missed, listed, left = known.get((service, address), (-math.inf, -math.inf, -math.inf))
        if what == "sweep":
            book.addresses.sweep(now)
            continue
        getattr(book.orders if service == "orders" else book.stock, what)(address, now)
        if what == "lists" and missed != math.inf:
            known[service, address] = (math.inf, now, math.inf)
        elif what == "misses" and missed == math.inf:
            known[service, address] = (now, listed, math.inf)
        elif what == "lets_go" and left == math.inf:
            known[service, address] = (min(missed, now), listed, now)
        for where in (A, B):
            held = {
                one: (gone, came)
                for (one, at), (gone, came, out) in known.items()
                if at == where and now - out < MEMORY
            }
            strongest: set[str | None] = {one for one, strength in held.items() if strength == max(held.values())}
            assert book.owner(where, now) in (strongest or {None})
