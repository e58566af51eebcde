"""The machine that is measured on: what it is, what it does to anybody, and what keeps it busy."""
