"""The composition root: builds the parts, hands each what it needs, and takes them down in order.

- `process`   the operating system's view: event loop, signals, how it ended
- `sidecar`   one running sidecar: start, reload, drain, stop
- `services`  one service's cluster and upstream, kept in step
- `feed`      carries what the sources learn to the clusters, and the clusters' doubts back
- `heartbeat` the one clock that drives clusters, probes and drain
- `journal`   where every event goes: the event log and the timeline
- `backend`   what the admin port may see and do
- `settings`  the configuration, as the constructors of the parts want it
"""
