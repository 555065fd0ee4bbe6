"""Fixtures of notes for other tests."""

UNGUESSABLE = r"/notes/import$"
"""Of generated text, next to nothing is a CSV file."""
