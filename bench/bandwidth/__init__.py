"""``fullband bench bandwidth`` and ``noise``: what the host makes of voices and of noise."""
