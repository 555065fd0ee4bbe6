"""The processes that run tasks: Celery workers and beat."""
