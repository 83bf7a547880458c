"""`nacos-sidecar replay`: what another configuration would have made of what happened.

A timeline, saved from `/events`, holds facts (lists that came, dials that failed or succeeded, the registry lost and
found, orders of the operator) and what was decided upon them. The facts are fed once more to the core, under the other
configuration and a clock of their own; what it decides is laid beside what was recorded.

- `saved`      the file, read and checked
- `fact`       what came from outside, read off an event; `dials` what was known of an address at a time
- `story`      one service's part: facts, decisions, and its `beginning` where that is lost
- `decision`   what is compared, and what is left out
- `run`        the core under a clock of its own
- `compare`    which decisions have no counterpart; `judge` leaves out what cannot be known, `report` tells
- `command`    all of it in order
"""
