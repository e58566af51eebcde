"""LADSPA plugins: described by ctypes, probed in a process of their own, run on the engine thread."""
