"""The model of a service, in force, as the frozen policy that the core works with."""

from types import MappingProxyType
from typing import Any

from sidecar.cluster import policy
from sidecar.config.section import Section
from sidecar.config.service import Service


def service_policy(service: Service) -> policy.ServicePolicy:
    """Takes a service of a loaded configuration: defaults are merged in already."""
    retry = service.retry
    return policy.ServicePolicy(
        name=service.name,
        protocol=service.protocol,
        listen=str(service.listen) if service.listen else None,
        hosts=service.hosts or (),
        discovery=_discovery(service),
        protection=policy.Protection(**_fields(service.protection)),
        load_balancing=policy.LoadBalancing(**_fields(service.load_balancing)),
        outlier_detection=policy.OutlierDetection(**_fields(service.outlier_detection)),
        retry=policy.Retry(
            **_fields(retry, "retry_on", "budget"),
            retry_on=frozenset(retry.retry_on),
            budget=policy.Budget(**_fields(retry.budget)),
        ),
        wait_for_instance=policy.WaitForInstance(**_fields(service.wait_for_instance)),
        timeouts=policy.Timeouts(**_fields(service.timeouts)),
        circuit_breakers=policy.CircuitBreakers(**_fields(service.circuit_breakers)),
        keepalive=policy.Keepalive(**_fields(service.keepalive)),
        host_header=service.host_header,
        limits=policy.Limits(**_fields(service.limits)),
        tls=policy.Tls(**_fields(service.tls)) if service.tls else None,
        via=service.via,
        debug_headers=service.debug_headers,
        required=service.required,
    )


def _discovery(service: Service) -> policy.Discovery:
    discovery = service.discovery
    return policy.Discovery(
        service=discovery.service,
        group=discovery.group,
        clusters=discovery.clusters,
        healthy_only=discovery.healthy_only,
        metadata=MappingProxyType(discovery.metadata),
        static=tuple(map(str, discovery.static or ())),
    )


def _fields(section: Section, *without: str) -> dict[str, Any]:
    """A section's values by name; policies have the same names."""
    return {name: value for name, value in section if name not in without}
