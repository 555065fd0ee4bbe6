"""The model: its selection, and calls of it."""
