"""``fullband bench drift``: two clocks that run apart."""
