"""Tests of the statistics of notes."""
