"""Addresses of registry nodes."""

import pytest

from sidecar.discovery.options import NacosOptions, Server


@pytest.mark.parametrize(
    ("text", "shown", "target"),
    [
        ("nacos-0.nacos:8848", "nacos-0.nacos:8848", "nacos-0.nacos:9848"),
        ("10.0.0.9", "10.0.0.9:8848", "10.0.0.9:9848"),
        (" 10.0.0.9:80 ", "10.0.0.9:80", "10.0.0.9:1080"),
        ("[::1]:8848", "[::1]:8848", "[::1]:9848"),
        ("httpbin:8848", "httpbin:8848", "httpbin:9848"),
    ],
)
def test_an_address_is_shown_by_its_http_port_and_dialled_at_its_grpc_port(text: str, shown: str, target: str) -> None:
    """gRPC lives at the configured port plus the offset; 8848 is the default."""
    server = Server.parse(text, grpc_port_offset=1000)
    assert (str(server), server.grpc_target) == (shown, target)


@pytest.mark.parametrize("text", ["", "http://n:8848", "n:8848/nacos", "n:0", "n:65536", "n:65000", "a b", "n:x"])
def test_what_is_no_address_is_refused(text: str) -> None:
    """Schemes, paths, and ports beyond the range, with the offset counted in, are errors and never guessed at."""
    with pytest.raises(ValueError, match="expected host or host:port"):
        Server.parse(text, grpc_port_offset=1000)


def test_an_address_written_twice_is_one_server() -> None:
    """Duplicates do not shorten the pauses of a round."""
    options = NacosOptions(server_addresses=("n:8848", "n", "m"))
    assert [str(server) for server in options.servers] == ["n:8848", "m:8848"]
