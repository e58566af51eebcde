"""What was measured, for people: tables for the console and Markdown, one HTML page, pictures."""
