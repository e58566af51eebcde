"""``fullband bench plugins``: stages moved while audio runs."""
