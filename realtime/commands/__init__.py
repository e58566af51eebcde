"""The commands of ``fullband``, one module each, imported when asked for."""
