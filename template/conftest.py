"""Loads the platform's fixtures for the tests of `keel` and `app`; your own go into `tests/conftest.py`."""

pytest_plugins = ["keel.testing"]
