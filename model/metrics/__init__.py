"""What is measured of a bandwidth extension, and how."""
