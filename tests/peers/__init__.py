"""nginx, HAProxy, Envoy and the sidecar, each in front of the same instances, behind one small interface.

    async with started("haproxy", ["127.0.0.1:8081", "127.0.0.1:8082"], folder) as peer:
        peer.port                               # the app calls http://127.0.0.1:PORT with any Host
        peer.pids                               # the workers, for CPU and memory
        await peer.use(["127.0.0.1:8082"])      # another list

Each is set up as a competent operator would, for a service of which nothing is known but that its instances come and
go. What they are asked alike stands in `Terms`; what they do differently is theirs:

| | nginx | HAProxy | Envoy | sidecar |
|---|---|---|---|---|
| choice | least_conn | leastconn | least request of two | its default |
| a refused connect | the next instance | the next instance | another instance, three times | its default |
| a lost answer, idempotent | the next instance | another instance | another instance | its default |
| a lost answer, POST | 502 | 502 | if the request was not sent whole | its default |
| 503 to an idempotent request | the next instance | another instance | another instance | its default |
| 500 to an idempotent request | where `Terms` say so, as 503 | the same | the same | the same |
| out after | a failure, 502, 503, 504, and 500 where it is repeated; 2 s | 5 errors, until a check passes | 1 failed connect or 5 answers 5xx, 30 s | its default |
| x-request-id | made when missing | made when missing | made when missing | its default |
| metrics | stub_status | Prometheus exporter | its admin port | its admin port |
| a new list | file and reload | runtime API, prepared slots | EDS file, renamed | from a registry |

Instances may also be given as services by name; then `Host` names the service. One worker, no access log. nginx cannot do
without any instance: it is left with the list before. The sidecar has its list from an embedded registry in a process of its
own; what it makes of a list is its affair.
"""
