"""One module for each thing that is seen. Every view draws a snapshot in an area of a canvas, whatever its size."""
