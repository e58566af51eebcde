"""``fullband bench engine --faults``: what is heard of a fault."""
