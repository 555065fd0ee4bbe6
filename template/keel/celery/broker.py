"""Celery, set up for work that must neither be lost nor done twice.

A message says which task is to be done and nothing else. What the task is, whose it is and where it stands is in the
database, where it is committed together with what the task does.
"""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from celery import Celery
from kombu import Exchange, Queue

from keel.celery import signing
from keel.celery.settings import WorkerSettings

PERFORM = "keel.celery.perform"

CONNECT_SECONDS = 3
DELIVERIES = 20
"""Times that RabbitMQ delivers a message before it drops it. The task itself counts its attempts."""


def make_celery(settings: WorkerSettings) -> Celery:
    """Return a Celery application that nobody else's code finds by chance."""
    celery = Celery("app", set_as_current=False)
    celery.config_from_object(configuration(settings))
    return celery


def configuration(settings: WorkerSettings) -> dict[str, Any]:
    """Return Celery's configuration."""
    url = settings.broker_url.get_secret_value()
    serializer = "json"
    accepted = "application/json"
    if settings.signing_keys:
        signing.register([key.get_secret_value() for key in settings.signing_keys])
        serializer, accepted = signing.NAME, signing.CONTENT_TYPE
    return {
        "broker_url": url,
        "broker_connection_timeout": CONNECT_SECONDS,
        "broker_connection_retry": True,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_heartbeat": 10,
        # Messages: JSON alone, signed if there are keys; what is anything else is refused.
        "task_serializer": serializer,
        "event_serializer": "json",
        "accept_content": [accepted],
        # Whoever reaches the broker could stop workers by remote control: operators have the database and signals.
        "worker_enable_remote_control": False,
        "worker_send_task_events": False,
        # What has become of a task is in the database.
        "result_backend": None,
        "task_ignore_result": True,
        "result_expires": None,
        # One at a time, and done before it is acknowledged.
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "worker_prefetch_multiplier": 1,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "task_track_started": False,
        "worker_concurrency": settings.concurrency,
        # The task is interrupted within the event loop first; these are for code that does not let go of it.
        "task_soft_time_limit": (settings.soft_limit + settings.hard_limit) / 2,
        "task_time_limit": settings.hard_limit,
        "worker_proc_alive_timeout": 60.0,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        # A task that is not published at once is published by the relay.
        "task_publish_retry": True,
        "task_publish_retry_policy": {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0},
        "task_default_queue": settings.queue,
        "task_create_missing_queues": False,
        "beat_scheduler": "keel.celery.beat:LeasedScheduler",
        "beat_max_loop_interval": 1,
        **_TRANSPORTS[urlsplit(url).scheme](settings),
    }


def _rabbitmq(settings: WorkerSettings) -> dict[str, Any]:
    """Quorum queues, which outlive the loss of a node, and confirmed publishing."""
    arguments = {"x-queue-type": "quorum", "x-delivery-limit": DELIVERIES}
    # By topic, since Celery can delay messages itself (an owner's, with an ETA) through no other exchange.
    exchange = Exchange(settings.queue, type="topic", durable=True)
    return {
        "task_queues": [Queue(settings.queue, exchange, routing_key=settings.queue, queue_arguments=arguments)],
        "task_default_exchange": settings.queue,
        "task_default_exchange_type": "topic",
        "task_default_routing_key": settings.queue,
        "task_default_delivery_mode": "persistent",
        "broker_transport_options": {
            "confirm_publish": True,
            "confirm_timeout": CONNECT_SECONDS,
            "max_retries": 1,
            "interval_start": 0,
        },
    }


def _redis(settings: WorkerSettings) -> dict[str, Any]:
    """Keys under our own name; a message comes again only when no process can still be doing its task."""
    from keel.celery.redis_broker import mend

    mend()
    return {
        "task_queues": [Queue(settings.queue)],
        "broker_transport_options": {
            "global_keyprefix": f"{settings.queue}:",
            "visibility_timeout": settings.hard_limit + 60,
            "socket_connect_timeout": CONNECT_SECONDS,
            "socket_timeout": CONNECT_SECONDS * 10,
            "socket_keepalive": True,
            "retry_on_timeout": True,
            "max_retries": 1,
        },
    }


def _in_process(settings: WorkerSettings) -> dict[str, Any]:
    return {"task_queues": [Queue(settings.queue)]}


_TRANSPORTS: dict[str, Callable[[WorkerSettings], dict[str, Any]]] = {
    "amqp": _rabbitmq,
    "amqps": _rabbitmq,
    "redis": _redis,
    "rediss": _redis,
    "sentinel": _redis,
    "memory": _in_process,
}


def send(celery: Celery, task_id: UUID) -> None:
    """Publish that a task is to be done, and wait until the broker has it; raise if it does not take it."""
    celery.send_task(PERFORM, args=[str(task_id)], task_id=str(task_id), ignore_result=True)
