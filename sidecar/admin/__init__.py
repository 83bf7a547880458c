"""The admin port, and the two commands that ask it from outside.

- `health`  readiness latches; `views` state to text and JSON, `tables` columns; `access` who may ask what (all pure)
- `routes`  every path, and the `Backend` that the application implements; `server` the HTTP around it
- `client`  `wait` and `status`: plain http.client, so that they start at once
"""
