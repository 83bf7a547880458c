"""Values without what was refused."""

from sidecar.config.repair import repaired


def test_a_broken_key_is_left_out_and_its_neighbours_stay() -> None:
    """At any depth, in services as well."""
    values = {"listen": 5, "services": [{"name": "a", "retry": {"num_retries": "x", "via": 1}}]}
    found, dropped = repaired(values, [("listen",), ("services", 0, "retry", "num_retries")])
    assert dropped == {("listen",), ("services", 0, "retry", "num_retries")}
    assert found == {"version": 1, "services": [{"name": "a", "retry": {"via": 1}}]}
    assert values["listen"] == 5


def test_a_list_with_a_broken_entry_is_left_out_whole() -> None:
    """Its other entries would have other indexes."""
    found, dropped = repaired({"services": [{"name": "a", "hosts": ["b", 5]}]}, [("services", 0, "hosts", 1)])
    assert found["services"] == [{"name": "a"}]
    assert dropped == {("services", 0, "hosts")}


def test_a_text_that_stood_for_a_list_is_left_out() -> None:
    """The place points into what the text was split into."""
    found, _ = repaired({"nacos": {"server_addresses": "a,b:x"}}, [("nacos", "server_addresses", 1)])
    assert found["nacos"] == {}


def test_services_keep_their_number_and_get_a_name() -> None:
    """Whatever stood in their place."""
    found, _ = repaired({"services": [5, {"name": ""}, {"name": "a"}]}, [("services", 0), ("services", 1, "name")])
    assert found["services"] == [{"name": "unnamed-0"}, {"name": "unnamed-1"}, {"name": "a"}]


def test_a_missing_key_takes_nothing_away() -> None:
    """Its place does not exist."""
    found, dropped = repaired({"nacos": {"namespace": "a"}}, [("nacos", "tls", "x")])
    assert found["nacos"] == {"namespace": "a"}
    assert dropped == {("nacos", "tls", "x")}


def test_what_is_no_mapping_becomes_one() -> None:
    """A list or text at the top leaves only the version."""
    assert repaired([1], []) == ({"version": 1}, set())
