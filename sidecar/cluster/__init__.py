"""What we believe about one service: a pure core. Time and randomness come in as arguments, events go out as values.

- `policy`    how the operator wants it: frozen values, one class a section of the YAML
- `instance`  one address as the registry describes it; `snapshot` filters a list and tells two apart
- `guard`     decides which absences to believe (false empties, shrinks, partial lists after a restart)
- `endpoint`  an instance and what we saw of it; `outlier` quarantine and ejection
- `balancer`  choosing; `retry` what may be tried again, and the budget
- `cluster`   the whole of one service: apply(list), pick(), report() -> events
- `events`    all that can happen, as values; `stats` plain integers that telemetry reads
"""
