"""fullband's host: real-time audio super-resolution from a capture device to a playback device."""

__version__ = "0.1.0"
