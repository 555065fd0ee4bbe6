"""Tasks in tests: done by the process itself, and tried again at once."""

from keel.testing.support import PATIENCE

ENVIRONMENT = {
    "WORKER_BACKOFF": "0",
    # A process on a busy machine is not dead.
    "WORKER_LEASE": str(PATIENCE),
}

UNGUESSABLE = r"/tasks/exports$"
"""Only what packages have registered can be exported; see `keel.testing.fuzzing`."""
