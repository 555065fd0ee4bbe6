"""Tasks in tests: done by the process itself, and tried again at once."""

ENVIRONMENT = {"WORKER_BACKOFF": "0", "WORKER_LEASE": "1"}

UNGUESSABLE = r"/tasks/exports$"
"""Only what packages have registered can be exported; see `tests.fuzzing`."""
