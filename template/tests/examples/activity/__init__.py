"""Tests of the activity example."""
