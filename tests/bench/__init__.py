"""What the data path costs. Time is measured side by side and never asserted (`make bench-quick`); work is counted."""
