"""Messages to workers, with Celery and Kombu."""
