"""``fullband bench soak``: faults for as long as one likes."""
