"""The model of a service."""

from sidecar.config.service import DiscoveryDefaults, Service, ServiceDefaults


def test_defaults_lack_only_what_sets_a_service_apart() -> None:
    """Every other key of a service can be given for all of them."""
    assert Service.model_fields.keys() - ServiceDefaults.model_fields.keys() == {"name", "listen", "hosts"}
    fields = Service.model_fields["discovery"].default.model_fields_set
    assert not fields
    discovery = type(Service.model_fields["discovery"].default)
    assert discovery.model_fields.keys() - DiscoveryDefaults.model_fields.keys() == {"service", "static"}


def test_a_service_is_written_with_its_name_first() -> None:
    """Fields follow the order of the format, in the effective file as well."""
    assert list(Service.model_fields)[:5] == ["name", "listen", "hosts", "protocol", "discovery"]
