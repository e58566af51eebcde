"""What is sent and how it is heard: voices, probes, and the delays and clicks that are found in them."""
