"""What a chain is made of: stages built in, networks, and LADSPA plugins. See the README beside this file.

Nothing is imported here: the probe, which runs in a process of its own, has to be there at once.
"""
