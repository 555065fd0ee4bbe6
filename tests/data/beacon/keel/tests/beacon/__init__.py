"""Tests of keel.beacon."""
