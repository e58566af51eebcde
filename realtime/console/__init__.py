"""What ``fullband live`` draws on a terminal.

A frame is made in three steps, each without the others: :mod:`.observer` looks at the running host and keeps what it
saw as a :class:`~.snapshot.Snapshot`; :mod:`.frame` draws a snapshot on a :class:`~.canvas.Canvas` of any size, one
module of :mod:`.views` for each thing that is seen; :mod:`.screen` writes what has changed to the terminal.
:class:`~.live.LiveConsole` is all of them, with the keys.
"""
