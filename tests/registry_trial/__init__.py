"""Every promise about a misbehaving registry, measured by one command: `make registry-trial`."""
