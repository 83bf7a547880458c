"""Figures that are measured side by side, never asserted: `make bench-quick`."""
