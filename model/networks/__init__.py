"""Causal networks with a whole-signal and a streaming form that agree."""
