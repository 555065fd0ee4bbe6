"""Tests of ${r.plural.words}."""
