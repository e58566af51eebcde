"""Networks that restore the high band of speech: their training, measurement and export.

Importing this package imports no torch; `model.networks`, `model.losses` and `model.training` do.
"""
