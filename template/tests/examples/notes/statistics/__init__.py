"""Tests of statistics of notes."""
