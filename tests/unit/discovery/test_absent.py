"""Stand-ins for packages that naming never calls."""

import importlib
import sys

import pydantic
import pytest

from sidecar.discovery.absent import Absent, absent


def test_an_unused_package_and_all_its_modules_can_be_imported_hollow() -> None:
    """Any name in any of its modules is there, and can be a base class."""
    with absent():
        client = importlib.import_module("alibabacloud_nothing.client.deep")
    assert issubclass(type("Ours", (client.Client,), {}), client.Client)
    assert client.Client is client.Client


def test_a_hollow_class_is_accepted_as_the_type_of_a_model_field() -> None:
    """The library declares such fields; building the model must not fail."""
    with absent():
        card = importlib.import_module("a2a.types").AgentCard
    model = pydantic.create_model("Model", card=(card, None))
    assert model(card="anything").card == "anything"  # type: ignore[attr-defined]


def test_nothing_of_it_stays_behind() -> None:
    """Afterwards the package is as missing, or as real, as it was before."""
    before = set(sys.modules), list(sys.meta_path)
    with absent():
        importlib.import_module("alibabacloud_nothing.client")
    assert (set(sys.modules), sys.meta_path) == before
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("alibabacloud_nothing")


def test_other_packages_are_not_touched() -> None:
    """A missing package that is not on the list is still missing."""
    with absent(), pytest.raises(ModuleNotFoundError):
        importlib.import_module("surely_not_installed_anywhere")


def test_a_part_of_a_package_can_be_unused() -> None:
    """What stands beside it is the real one, and so is what only begins like it."""
    finder = Absent()
    asked = ("v2.nacos.ai", "v2.nacos.ai.model.a2a", "v2", "v2.nacos", "v2.nacos.naming", "v2.nacos.aims")
    assert [finder.find_spec(name, None) is not None for name in asked] == [True, True, False, False, False, False]


def test_dunder_names_are_not_made_up() -> None:
    """The import system asks for `__path__` and the like and must get the truth."""
    with absent():
        module = importlib.import_module("Tea")
    with pytest.raises(AttributeError):
        _ = module.__wrapped__
