"""Control of a running host from outside: a Unix socket that takes and gives one JSON object per line."""
