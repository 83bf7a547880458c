"""How much memory the sidecar keeps, beside Envoy with the same ten services (`make weight`)."""
