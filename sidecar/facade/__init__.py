"""A Nacos address for the app: everything passes to the real servers, byte for byte, but lists of instances.

- `names`, `lists`, `hosts`, `answers`: names of services, lists inside of messages, hosts and messages as we write them.
- `wanted`, `offers`: what is asked for, and what the app is told of the services of the YAML: guarded lists, or the sidecar's own listeners.
- `registry`: the real servers, and which comes first.
- `telling`, `client`, `upstream`, `grpc_server`: gRPC, for clients of 2.x and 3.x; one connection to a server for each of
  the app's.
- `http1`, `http_paths`, `http_lists`, `http_nodes`, `http_server`: HTTP, for clients of 1.x, and for logins.
- `facade` puts them together.
"""

import os

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # before grpc is loaded: it writes GOAWAY lines to stderr otherwise
