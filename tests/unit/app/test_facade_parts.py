"""What a façade is made of."""

from pathlib import Path
from random import Random

from sidecar.app.facade_parts import own_services, registry
from sidecar.app.services import Services
from sidecar.app.settings import nacos_options
from sidecar.config.policies import service_policy
from sidecar.discovery.options import NacosOptions
from sidecar.facade.names import Named
from sidecar.facade.offers import Lists
from sidecar.proxy.runtime import Runtime
from tests.support.certificates import Authority
from tests.support.configs import config

TEXT = """\
version: 1
facade: {lists: sidecar}
nacos: {namespace: test}
services:
  - {name: orders, listen: "127.0.0.1:0"}
  - {name: orders-v2, listen: "0.0.0.0:81", hosts: [v2], discovery: {service: orders, metadata: {version: "2"}}}
  - {name: stock, listen: "127.0.0.1:82", discovery: {group: G}}
  - {name: fixed, discovery: {static: ["127.0.0.1:1"]}}
"""


async def test_services_are_known_by_their_names_in_the_registry(tmp_path: Path) -> None:
    """Two of the YAML may share one; those with fixed instances are none; each has the address that was bound for it."""
    found = config(tmp_path, TEXT)
    services = Services(Runtime(), Random(1), lambda _: None)
    policies = [service_policy(service) for service in found.services]
    services.put_in_force(services.build(policies, own_addresses=frozenset()), policies, 0.0)
    bound = {"orders": "127.0.0.1:40123", "orders-v2": "0.0.0.0:81", "stock": "[::1]:82"}
    ours, lists = own_services(found, services, bound)
    assert lists is Lists.SIDECAR
    assert {named: [(one.cluster.name, one.address) for one in of] for named, of in ours.items()} == {
        Named("test", "DEFAULT_GROUP", "orders"): [
            ("orders", ("127.0.0.1", 40123)),
            ("orders-v2", ("127.0.0.1", 81)),
        ],
        Named("test", "G", "stock"): [("stock", None)],
    }


def test_the_servers_are_those_of_the_registry(tmp_path: Path) -> None:
    """With the distance of their gRPC ports."""
    options = nacos_options(config(tmp_path, TEXT + "  - {name: x, listen: '127.0.0.1:83'}\n"))
    (node,) = registry(options, Random(1)).in_turn()
    assert (str(node), node.grpc_target) == ("127.0.0.1:8848", "127.0.0.1:9848")
    assert registry(NacosOptions(), Random(1)).tls is None


async def test_tls_is_that_of_the_registry(tmp_path: Path) -> None:
    """Read from the same files."""
    authority = Authority(tmp_path)
    text = f"version: 1\nnacos: {{tls: {{ca_file: {authority.file}, server_name: nacos}}}}\nservices: [{{name: a}}]\n"
    made = registry(nacos_options(config(tmp_path, text)), Random(1))
    assert made.tls is not None
    trust = await made.tls.trust(made.in_turn()[0])
    assert trust.name == "nacos"
    assert trust.roots is not None
    assert trust.roots.startswith(b"-----BEGIN CERTIFICATE-----")
    assert made.tls.server_name == "nacos"
    assert made.tls.context is not None
    assert made.tls.context().check_hostname
    made = registry(nacos_options(config(tmp_path, text.replace("nacos}}", "nacos, http: false}}"))), Random(1))
    assert made.tls is not None
    assert made.tls.context is None
