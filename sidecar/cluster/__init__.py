"""What we believe about one service: a pure core. Time and randomness come in as arguments, events go out as values.

- `policy`      how the operator wants it: frozen values, one class a section of the YAML
- `instance`    one address as the registry describes it; `snapshot` filters a list and tells two apart
- `guard`       decides which absences to believe (false empties, shrinks, partial lists after a restart)
- `membership`  takes lists, asks the guard, keeps the endpoints
- `endpoint`    an instance and what we saw of it: exactly one state
- `quarantine`  cannot be connected · `standing`, `outlier` answers badly · `leaving` announces its end · `stall` is silent
- `choice`      who is asked first · `balancer` one of several equal ones · `agenda` whose turn it is
- `retry`       what may be tried again, and the budget; `slots` counts the last ten seconds exactly
- `cluster`     the whole of one service: apply(list), pick(), report() -> events
- `events`      all that can happen, as values; `stats` plain integers that telemetry reads
"""
