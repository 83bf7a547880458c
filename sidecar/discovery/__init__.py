"""Where instances come from.

- `source`: the seam; `static` (addresses of the YAML) and `supervisor` (a registry) stand behind it.
- `supervisor` opens registry sessions one after the other; `approach` says where and when to try. `ways` says
  over what, and at which of the addresses that a name has (`names`). `life` runs one session; `planner` says whom to ask
  next, `judge` what is trouble. Those that decide are pure.
- `session` is what a registry client must offer; `nacos` offers it with nacos-sdk-python, imported lean by
  `absent`; `polling` over HTTP, for servers without gRPC. `listing` turns their words into ours.
- `access` shows the registry who we are: `login` has a token from `http`, `renewal` says when to ask for one; `signing`
  signs; `credentials` holds the secrets.
- `version` finds out what a server runs.
- `last_good` keeps lists on disk; `options` says how to reach the registry.
"""
