"""Tasks in tests: run by the process itself, and retried at once."""

from keel.testing.support import PATIENCE

ENVIRONMENT = {
    "CELERY_RETRY_BACKOFF": "0",
    # No lease expires because the machine is busy.
    "CELERY_LEASE": str(PATIENCE),
}

UNGUESSABLE = r"/tasks/exports$"
"""Only the kinds of registered exporters are accepted; see `keel.testing.fuzzing`."""
