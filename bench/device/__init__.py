"""``fullband bench device``: delay through real devices."""
