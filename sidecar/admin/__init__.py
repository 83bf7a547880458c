"""The admin port, and the two commands that ask it from outside.

- `health`  readiness latches; `views` state to text and JSON (both pure)
- `server`  routes, the access rule, and the `Backend` that the application implements
- `client`  `wait` and `status`: plain http.client, so that they start at once
"""
