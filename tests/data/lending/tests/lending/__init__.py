"""Tests of app.library.lending."""
