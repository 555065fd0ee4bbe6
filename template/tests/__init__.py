"""Tests of the project; the tree mirrors `app`."""
