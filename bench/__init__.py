"""The latency harness: drives the host from outside and measures it."""
