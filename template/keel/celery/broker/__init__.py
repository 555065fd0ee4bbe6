"""Messages to workers, by way of Celery and Kombu."""
