"""Tests of app.ships."""
