"""Publications, edits and thresholds."""

from sidecar.embedded.model import Catalogue, Edit, Instance, ServiceName

ORDERS = ServiceName("orders")
ONE, TWO = Instance("10.0.0.1", 80), Instance("10.0.0.2", 80)


def test_names_are_read_plain_and_grouped() -> None:
    """`G@@S` wins over a group given apart, and the empty namespace is `public`."""
    assert ServiceName.parse("orders") == ORDERS
    assert ServiceName.parse("G@@orders", "H", "dev") == ServiceName("orders", "G", "dev")
    assert ServiceName("orders", "G").grouped == "G@@orders"


def test_a_client_has_one_publication_a_service() -> None:
    """A second registration on the same connection overwrites the first."""
    catalogue = Catalogue()
    assert catalogue.publish("client", ORDERS, [ONE]) == {ORDERS}
    assert catalogue.publish("client", ORDERS, [TWO]) == {ORDERS}
    assert catalogue.instances(ORDERS) == (TWO,)


def test_an_equal_publication_changes_nothing() -> None:
    """A client that registers the same again causes no push."""
    catalogue = Catalogue()
    catalogue.publish("client", ORDERS, [ONE])
    assert catalogue.publish("client", ORDERS, [ONE]) == set()


def test_a_client_that_goes_takes_its_instances_along() -> None:
    """Only what the client published is withdrawn, and every service concerned is named."""
    catalogue = Catalogue()
    other = ServiceName("stock")
    catalogue.publish("a", ORDERS, [ONE])
    catalogue.publish("a", other, [ONE])
    catalogue.publish("b", ORDERS, [TWO])
    assert catalogue.withdraw_client("a") == {ORDERS, other}
    assert (catalogue.instances(ORDERS), catalogue.instances(other)) == ((TWO,), ())
    assert catalogue.services() == ["orders"]


def test_whole_objects_are_deduplicated_and_addresses_are_not() -> None:
    """Two clients with the same address give one instance when equal, two when they differ in weight."""
    catalogue = Catalogue()
    catalogue.publish("a", ORDERS, [ONE])
    catalogue.publish("b", ORDERS, [Instance("10.0.0.1", 80)])
    catalogue.publish("c", ORDERS, [Instance("10.0.0.1", 80, weight=2.0)])
    assert [instance.weight for instance in catalogue.instances(ORDERS)] == [1.0, 2.0]


def test_an_edit_survives_a_new_registration() -> None:
    """A disabled instance that registers again on a new connection is still disabled."""
    catalogue = Catalogue()
    catalogue.publish("a", ORDERS, [ONE])
    assert catalogue.edit(ORDERS, "10.0.0.1", 80, Edit(enabled=False)) == {ORDERS}
    assert catalogue.edit(ORDERS, "10.0.0.1", 80, Edit(weight=0.0)) == {ORDERS}
    catalogue.withdraw_client("a")
    catalogue.publish("b", ORDERS, [ONE])
    (instance,) = catalogue.instances(ORDERS)
    assert (instance.enabled, instance.weight) == (False, 0.0)


def test_an_edit_of_an_absent_address_changes_no_list() -> None:
    """Nothing is to be pushed until such an instance registers."""
    assert Catalogue().edit(ORDERS, "10.0.0.9", 80, Edit(enabled=False)) == set()


def test_a_health_flip_concerns_one_address() -> None:
    """The other instances of the client keep their health."""
    catalogue = Catalogue()
    catalogue.publish("a", ORDERS, [ONE, TWO])
    assert catalogue.set_health(ORDERS, "10.0.0.2", 80, healthy=False) == {ORDERS}
    assert [instance.healthy for instance in catalogue.instances(ORDERS)] == [True, False]


def test_a_threshold_is_no_change_of_a_list() -> None:
    """It is remembered, and unknown until an operator sets it."""
    catalogue = Catalogue()
    assert catalogue.threshold(ORDERS) is None
    catalogue.set_threshold(ORDERS, 0.5)
    assert catalogue.threshold(ORDERS) == 0.5


def test_a_restart_loses_what_is_ephemeral() -> None:
    """Persistent instances stay; the lost ones are handed back by service and client."""
    catalogue = Catalogue()
    stays = Instance("10.0.0.3", 80, ephemeral=False)
    catalogue.publish("a", ORDERS, [ONE])
    catalogue.publish("b", ORDERS, [stays])
    assert catalogue.forget_ephemeral() == {ORDERS: {"a": (ONE,)}}
    assert catalogue.instances(ORDERS) == (stays,)
    assert repr(catalogue) == "<Catalogue 1 services, 1 instances>"
