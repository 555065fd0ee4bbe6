"""Exports: the rows of a subject as a file."""
