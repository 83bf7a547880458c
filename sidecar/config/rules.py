"""What one key alone cannot show: rules over several keys, each a small function, all in one table.

A rule yields findings about the configuration in force; `written` is the same before `defaults` were merged in, for
what only the service's own keys can get wrong.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from sidecar.certificates import CertificateError, client_context
from sidecar.cluster.policy import Protocol
from sidecar.config.address import Address
from sidecar.config.facade_rules import (
    FACADE_GRPC,
    facade_addresses,
    the_facade_has_two_ports,
    the_facade_stands_for_others,
    the_sidecar_has_an_address_to_name,
)
from sidecar.config.locate import Locator
from sidecar.config.model import Config
from sidecar.config.registry_rules import a_group_has_a_key_of_its_own, a_server_has_two_ports
from sidecar.config.report import Finding, Level, Loc, path_text
from sidecar.config.section import Section, leaves
from sidecar.config.service import Tls
from sidecar.durations import duration_text

Rule = Callable[[Config, Config, Locator], Iterator[Finding]]


def one_address_one_listener(config: Config, _written: Config, locator: Locator) -> Iterator[Finding]:
    """Two listeners cannot share a port of one interface."""
    seen: list[tuple[Loc, Address]] = []
    for loc, address in sorted(_listeners(config), key=lambda one: locator.order(one[0])):
        taken = next((other for other, bound in seen if bound.collides(address)), None)
        if taken is not None:
            yield Finding(loc, f"{address} is taken by {path_text(taken)}: choose another port", related=(taken,))
        seen.append((loc, address))


def one_name_one_service(config: Config, _written: Config, _locator: Locator) -> Iterator[Finding]:
    """Names label metrics and stand in admin paths; case does not part two."""
    owners: dict[str, int] = {}
    for index, service in enumerate(config.services):
        first = owners.setdefault(service.name.lower(), index)
        if first != index:
            message = f"name '{service.name}' belongs to services[{first}] already: choose another"
            yield Finding(("services", index, "name"), message, related=(("services", first, "name"),))


def one_host_one_service(config: Config, _written: Config, _locator: Locator) -> Iterator[Finding]:
    """On the shared listener a host leads to one service; without that listener hosts mean nothing."""
    owners: dict[str, int] = {}
    for index, service in enumerate(config.services if config.listen else ()):
        for place, host in enumerate(service.hosts or ()):
            first = owners.setdefault(host.lower(), index)
            if first != index:
                message = f"host '{host}' belongs to services[{first}] already: give this one other hosts, or hosts: []"
                mine: Loc = ("services", index)
                yield Finding(
                    (*mine, "hosts", place), message, related=((*mine, "discovery", "service"), (*mine, "name"))
                )


def every_service_has_a_way_in(config: Config, _written: Config, _locator: Locator) -> Iterator[Finding]:
    """A service that no listener leads to is a mistake."""
    for index, service in enumerate(config.services):
        loc: Loc = ("services", index)
        if service.listen is not None:
            continue
        related: tuple[Loc, ...] = ((*loc, "listen"), loc)
        if config.transparent is not None:  # then its instances' addresses are a way in
            continue
        if service.protocol is Protocol.TCP:
            yield Finding(
                (*loc, "protocol"), "a tcp service needs a listener of its own: set 'listen'", related=related
            )
        elif config.listen is None:
            message = "no way in: set 'listen' here, or the shared 'listen' at the top"
            yield Finding((*loc, "listen"), message, related=(loc, ("listen",)))
        elif not service.hosts:
            yield Finding((*loc, "hosts"), "no way in: name 'hosts', or set 'listen'", related=related)


HTTP_ONLY: Final[tuple[tuple[str, ...], ...]] = (
    ("host_header",),
    ("limits",),
    ("via",),
    ("debug_headers",),
    ("keepalive",),
    ("timeouts", "request_head"),
    ("timeouts", "response"),
    ("outlier_detection", "consecutive_5xx"),
    ("outlier_detection", "leaving_signals"),
    ("outlier_detection", "leaving_header"),
    ("outlier_detection", "stall_after"),
    ("retry", "num_retries"),
    ("retry", "non_idempotent"),
    ("retry", "on_ambiguous"),
    ("retry", "budget"),
    ("retry", "per_try_timeout"),
    ("retry", "replay_buffer"),
)
"""Keys that mean nothing where no requests are seen."""


def tcp_knows_no_requests(config: Config, written: Config, _locator: Locator) -> Iterator[Finding]:
    """A default that means nothing to a tcp service is ignored there; written on the service itself it is a mistake."""
    for index, (service, own) in enumerate(zip(config.services, written.services, strict=True)):
        if service.protocol is not Protocol.TCP:
            continue
        if own.hosts:
            message = "a tcp service has no hosts, only its listener: remove them"
            yield Finding(("services", index, "hosts"), message)
        for path in HTTP_ONLY:
            if _is_written(own, path):
                yield Finding(("services", index, *path), "means nothing to a tcp service: remove it")


def static_stands_alone(_config: Config, written: Config, _locator: Locator) -> Iterator[Finding]:
    """A fixed list has no group, no clusters, no registry name."""
    for index, service in enumerate(written.services):
        others = sorted(service.discovery.model_fields_set - {"static"})
        if service.discovery.static is not None and others:
            loc: Loc = ("services", index, "discovery")
            yield Finding((*loc, "static"), f"'static' excludes {_names(others)}: keep one or the other")


def one_source_a_secret(config: Config, _written: Config, _locator: Locator) -> Iterator[Finding]:
    """A secret stands in the file or in a file of its own."""
    for name in ("password", "secret_key"):
        if getattr(config.nacos, name) is not None and getattr(config.nacos, f"{name}_file") is not None:
            message = f"'{name}_file' excludes '{name}': keep one or the other"
            yield Finding(("nacos", f"{name}_file"), message, related=(("nacos", name),))


def shorter_fits_into_longer(config: Config, _written: Config, _locator: Locator) -> Iterator[Finding]:
    """Durations that bound one another."""
    for index, service in enumerate(config.services):
        protection, outliers = service.protection, service.outlier_detection
        for section, (short, low), (long, high) in (
            ("protection", ("confirm", protection.confirm), ("max_hold", protection.max_hold)),
            (
                "outlier_detection",
                ("base_ejection_time", outliers.base_ejection_time),
                ("max_ejection_time", outliers.max_ejection_time),
            ),
        ):
            if low > high:
                yield _too_long(("services", index, section, short), low, ("services", index, section, long), high)
        attempt, whole = service.retry.per_try_timeout, service.timeouts.response
        if attempt is not None and whole is not None and attempt > whole:
            yield _too_long(
                ("services", index, "retry", "per_try_timeout"),
                attempt,
                ("services", index, "timeouts", "response"),
                whole,
            )


def listeners_stay_on_loopback(config: Config, _written: Config, _locator: Locator) -> Iterator[Finding]:
    """Whoever can reach a listener can call the providers."""
    for loc, address in _listeners(config):
        if loc not in {("admin", "listen"), FACADE_GRPC} and not address.is_loopback:
            message = f"{address} can be reached from other hosts: use 127.0.0.1 unless that is wanted"
            yield Finding(loc, message, level=Level.WARNING)


def nobody_elses_proxy(config: Config, _written: Config, _locator: Locator) -> Iterator[Finding]:
    """Whoever can reach a listener that sends on whatever it is asked for can reach all that this host can."""
    if config.unmatched != "forward":
        return
    if config.listen is None:
        message = "only the shared listener is a proxy: set 'listen', or leave this at refuse"
        yield Finding(("unmatched",), message, related=(("listen",),))
    elif not config.listen.is_loopback:
        message = (
            f"other hosts could use {config.listen} as a proxy to anywhere: listen on loopback, or leave this at refuse"
        )
        yield Finding(("unmatched",), message, related=(("listen",),))


def redirected_to_loopback(config: Config, _written: Config, _locator: Locator) -> Iterator[Finding]:
    """That is where the kernel brings what a rule of the chain OUTPUT redirects."""
    address = config.transparent
    if address is not None and not address.is_wildcard and str(address.host) not in {"127.0.0.1", "localhost"}:
        message = (
            f"redirected connections do not come to {address.host}: use 127.0.0.1:{address.port}, which is ::1, too"
        )
        yield Finding(("transparent",), message)


def secrets_stand_elsewhere(config: Config, _written: Config, locator: Locator) -> Iterator[Finding]:
    """A secret in a file that gets copied, mounted and reviewed is none."""
    for name in ("password", "secret_key"):
        loc: Loc = ("nacos", name)
        if getattr(config.nacos, name) is not None and locator.is_in_clear(loc):
            message = f"a secret in clear: use '{name}_file', or a variable"
            yield Finding(loc, message, level=Level.WARNING)


def credentials_are_whole(config: Config, _written: Config, _locator: Locator) -> Iterator[Finding]:
    """Half of what a login or a signature needs is neither."""
    for name, secret in (("username", "password"), ("access_key", "secret_key")):
        given = [key for key in (name, secret, f"{secret}_file") if getattr(config.nacos, key) is not None]
        if given == [name]:
            message = f"no {secret.replace('_', ' ')} for it: set '{secret}_file', or NACOS_{secret.upper()}"
            yield Finding(("nacos", name), message, level=Level.WARNING)
        elif given and name not in given:
            yield Finding(("nacos", given[0]), f"unused without '{name}'", level=Level.WARNING)


def a_key_has_its_certificate(config: Config, _written: Config, _locator: Locator) -> Iterator[Finding]:
    """A key alone shows nobody who we are."""
    for loc, tls in _tls_sections(config):
        if tls.key_file is not None and tls.cert_file is None:
            yield Finding((*loc, "key_file"), "no certificate for it: set 'cert_file'")


def certificates_will_do(config: Config, _written: Config, _locator: Locator) -> Iterator[Finding]:
    """What instances are spoken to with; without it no call of the service could be made.

    Asked for by `run` and reload, which are on the machine that has the files, and by `check --files`.
    """
    judged: dict[Tls, CertificateError | None] = {}
    for loc, tls in _tls_sections(config):
        if loc[0] == "services":
            if tls not in judged:
                judged[tls] = _objection(tls)
            if (error := judged[tls]) is not None:
                yield Finding((*loc, error.key), str(error))


def _objection(tls: Tls) -> CertificateError | None:
    try:
        client_context(ca_file=tls.ca_file, cert_file=tls.cert_file, key_file=tls.key_file, verify=tls.verify)
    except CertificateError as error:
        return error
    return None


def files_can_be_used(config: Config, _written: Config, _locator: Locator) -> Iterator[Finding]:
    """Only asked for by `check --files`: the machine that checks may not be the one that runs."""
    sections: list[tuple[Section, Loc]] = [(config, ())]
    sections += [(service, ("services", index)) for index, service in enumerate(config.services)]
    for section, start in sections:
        for loc, _shape, value in leaves(section, start):
            if (
                str(loc[-1]).endswith("_file")
                and value is not None
                and not (value.is_file() and os.access(value, os.R_OK))
            ):
                yield Finding(loc, f"cannot be read: {value}")
    log = Path(config.access_log.path)
    if log.is_absolute() and not os.access(log.parent, os.W_OK | os.X_OK):
        yield Finding(("access_log", "path"), f"cannot be written: {log}; create its folder, or name another file")


RULES: Final[tuple[Rule, ...]] = (
    one_address_one_listener,
    one_name_one_service,
    one_host_one_service,
    every_service_has_a_way_in,
    tcp_knows_no_requests,
    static_stands_alone,
    a_group_has_a_key_of_its_own,
    a_server_has_two_ports,
    one_source_a_secret,
    shorter_fits_into_longer,
    listeners_stay_on_loopback,
    nobody_elses_proxy,
    redirected_to_loopback,
    secrets_stand_elsewhere,
    credentials_are_whole,
    a_key_has_its_certificate,
    the_facade_has_two_ports,
    the_facade_stands_for_others,
    the_sidecar_has_an_address_to_name,
)


def _tls_sections(config: Config) -> Iterator[tuple[Loc, Tls]]:
    if config.nacos.tls is not None:
        yield ("nacos", "tls"), config.nacos.tls
    for index, service in enumerate(config.services):
        if service.tls is not None:
            yield ("services", index, "tls"), service.tls


def _is_written(section: Section, path: tuple[str, ...]) -> bool:
    for key in path[:-1]:
        section = getattr(section, key)
    return path[-1] in section.model_fields_set


def _listeners(config: Config) -> Iterator[tuple[Loc, Address]]:
    if config.listen is not None:
        yield ("listen",), config.listen
    yield from facade_addresses(config)
    if config.transparent is not None:
        yield ("transparent",), config.transparent
    yield ("admin", "listen"), config.admin.listen
    for index, service in enumerate(config.services):
        if service.listen is not None:
            yield ("services", index, "listen"), service.listen


def _too_long(short: Loc, low: float, long: Loc, high: float) -> Finding:
    message = f"{short[-1]} {duration_text(low)} is longer than {long[-1]} {duration_text(high)}: lower it, or raise {long[-1]}"
    return Finding(short, message, related=(long,))


def _names(names: list[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
