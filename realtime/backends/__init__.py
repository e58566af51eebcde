"""Where audio comes from and goes to. Every backend serves one :class:`realtime.engine.Engine`."""
