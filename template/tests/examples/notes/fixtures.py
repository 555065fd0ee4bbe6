"""What the tests of notes tell the others."""

UNGUESSABLE = r"/notes/import$"
"""Of generated text, next to nothing is a CSV file."""
