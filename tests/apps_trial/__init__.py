"""Unmodified Spring Cloud apps while their providers restart, with the sidecar and without: `make trial-apps`."""
