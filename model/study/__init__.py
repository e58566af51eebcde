"""The study this project grew out of, to be repeated: data, U-Nets, training, scores and what they teach."""
