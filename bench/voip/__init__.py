"""``fullband bench voip``: calls, from mouth to ear."""
