"""Books on the shelves of their owners."""
