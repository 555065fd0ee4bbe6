"""Books of their owners."""
