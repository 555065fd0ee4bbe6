"""How a worker takes a message: one that means nothing is dropped, whatever is wrong with it."""

from collections.abc import Callable
from typing import Any

from celery.exceptions import InvalidTaskError
from celery.worker.strategy import default


def strategy(task: Any, app: Any, consumer: Any, **options: Any) -> Callable[..., Any]:
    """Return Celery's own way of taking a message, which a malformed one cannot end the worker by."""
    take = default(task, app, consumer, **options)

    def take_or_drop(message: Any, *arguments: Any, **more: Any) -> Any:
        try:
            return take(message, *arguments, **more)
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            # Celery (5.7) foresees some mistakes. Others would stop the worker, and the next one that gets the message.
            raise InvalidTaskError(repr(error)) from error

    return take_or_drop
