"""What many instances and many services cost one sidecar, and what many sidecars cost a registry (`make scale`)."""
