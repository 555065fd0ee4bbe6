"""Tests of ${r.words}."""
