"""Durable tasks: jobs, exports and scheduled work, stored as rows and run by Celery workers."""
