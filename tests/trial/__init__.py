"""The rolling-restart trial, as a program: how many calls does an app lose, beside the peers? `make trial`.

- `load`, `callers`   an app that calls at a fixed rate, and five ways on which its calls go
- `ground`, `liar`    the registry, real or embedded, and a relay that lies about its lists
- `replica`, `enrolment` a provider, and its registration
- `scene`, `rows`     all of that in one place, and what is done to it
- `conduct`, `program` one row played, and all of them
- `counts`, `bookkeeping`, `verdict` what came of it, counted from both ends, and whether it is what is promised
- `report`, `picture` the page
"""
