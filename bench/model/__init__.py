"""``fullband bench model``: compute per hop."""
