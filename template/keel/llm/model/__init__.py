"""The model: which one, and one call of it."""
