"""The admin port, and the two commands that ask it from outside.

- `health`  readiness latches; `views` state to text and JSON, `tables` columns; `access` who may ask what (all pure)
- `page`    the status page, `notes` its words for an endpoint (pure), `static` its style and script
- `routes`  every path, `intervention` those by which an operator does something to a service; `handling` what they are
  given, the application's `Backend` included, and give back; `server` the HTTP around it
- `client`  `wait` and `status`: plain http.client, so that they start at once
"""
