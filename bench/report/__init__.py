"""What every measurement of ``fullband bench`` leaves: one document, shown as tables, JSON and a page."""
