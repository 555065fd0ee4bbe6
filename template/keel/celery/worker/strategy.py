"""The worker's strategy for receiving messages: malformed ones are dropped."""

from collections.abc import Callable
from typing import Any

from celery.exceptions import InvalidTaskError
from celery.worker.strategy import default


def strategy(task: Any, app: Any, consumer: Any, **options: Any) -> Callable[..., Any]:
    """Return Celery's own strategy, made safe against malformed messages."""
    receive = default(task, app, consumer, **options)

    def receive_or_drop(message: Any, *arguments: Any, **more: Any) -> Any:
        try:
            return receive(message, *arguments, **more)
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            # Celery (5.7) handles some kinds. Others would end the worker, and every one that gets the message again.
            raise InvalidTaskError(repr(error)) from error

    return receive_or_drop
