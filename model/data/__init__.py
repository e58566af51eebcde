"""Speech for training and tests: where it lies, what it is worth, and how it is mixed."""
