"""Loads the platform's fixtures for the tests of both wings; your own go into `tests/conftest.py`."""

pytest_plugins = ["keel.testing"]
