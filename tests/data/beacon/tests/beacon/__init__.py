"""Tests of app.beacon."""
