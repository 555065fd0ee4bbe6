"""Tests of app.crew."""
