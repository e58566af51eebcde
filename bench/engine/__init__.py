"""``fullband bench engine``: the whole data plane under load, beside the usual ways."""
