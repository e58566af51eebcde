"""Settings: TOML files read, checked line by line, shown with where each value comes from, and written again."""
