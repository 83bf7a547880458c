"""`nacos-sidecar demo`: real processes on loopback, a rolling restart, and two callers side by side.

- `provider`  a small HTTP service that registers itself with nacos-sdk-python, as any Python provider would
- `processes` starts, watches and ends the processes of the stage
- `callers`   the same load twice: directly with a cached list, and through the sidecar
- `verdict`   what was seen, as numbers, and what it proves (pure)
- `story`     the order of events, the live line and the closing table
"""
