"""Tests of Gunicorn's server, worker and settings; `keel/tests/test_processes.py` runs the whole."""
