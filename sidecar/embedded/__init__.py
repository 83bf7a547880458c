"""A small Nacos in memory, for the demo and the tests: what real clients see is what a real server does.

- `model`, `listing`, `naming`: what is published, the list derived from it, and what of it is seen when. Pure.
- `faults`, `in_force`, `shapes`: every way to misbehave, as values; which of them apply; malformed lists. Pure.
- `messages`, `requests`: what a server says, what each request does.
- `auth`, `tls`: who may ask, and behind which certificate.
- `gate`, `grpc_server`, `connections`, `pushes`, `detection`: the clients, from their TCP connection to the last ack.
- `http_server`, `heartbeats`, `knobs_api`: the HTTP side, and the knobs over HTTP.
- `registry` puts them together; `serve` runs it alone.
"""
