"""Celery's configuration, for tasks that must be neither lost nor run twice.

A message holds a task's id and nothing else. The task and its state are in the database, where they are committed together
with what the task stores.
"""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from celery import Celery
from kombu import Exchange, Queue

from keel.celery.broker import signing, tls
from keel.celery.broker.urls import get_scheme
from keel.celery.settings import CelerySettings

RUN_TASK = "keel.celery.run_task"

CONNECT_SECONDS = 3
DELIVERIES = 20
"""Deliveries of a message by RabbitMQ before it is dropped. Attempts are counted in the task's row."""


class CeleryApp(Celery):
    """Celery, configured by the settings."""

    # CELERY_RESULT_BACKEND in the environment overrides the configuration, but not this.
    backend_cls = "disabled"

    def __init__(self, settings: CelerySettings) -> None:
        # Not the current app: `shared_task` and `current_app` in other code must not find it by accident.
        super().__init__("app", set_as_current=False)
        self.config_from_object(configuration(settings))


def configuration(settings: CelerySettings) -> dict[str, Any]:
    """Return Celery's configuration."""
    url, use_ssl = tls.separate(settings.broker_url.get_secret_value())
    serializer = "json"
    accepted = "application/json"
    if settings.signing_keys:
        signing.register([key.get_secret_value() for key in settings.signing_keys])
        serializer, accepted = signing.NAME, signing.CONTENT_TYPE
    return {
        "broker_url": url,
        # CELERY_BROKER_URL in the environment overrides the configuration, but not these two.
        "broker_read_url": url,
        "broker_write_url": url,
        **({"broker_use_ssl": use_ssl} if use_ssl else {}),
        "broker_connection_timeout": CONNECT_SECONDS,
        "broker_connection_retry": True,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_heartbeat": 10,
        # Messages are JSON, signed if there are keys; anything else is refused.
        "task_serializer": serializer,
        "event_serializer": "json",
        "accept_content": [accepted],
        # Off: anyone with access to the broker could stop workers. Operators have commands and signals.
        "worker_enable_remote_control": False,
        "worker_send_task_events": False,
        # The state of a task is in the database.
        "task_ignore_result": True,
        "result_expires": None,
        # One message at a time, acknowledged after its task has run.
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "worker_prefetch_multiplier": 1,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "task_track_started": False,
        "worker_concurrency": settings.concurrency,
        # An attempt is cancelled in the event loop first; these limits are for code that blocks it.
        "task_soft_time_limit": (settings.soft_time_limit + settings.hard_time_limit) / 2,
        "task_time_limit": settings.hard_time_limit,
        "worker_proc_alive_timeout": 60.0,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        # The relay publishes tasks that could not be published at once.
        "task_publish_retry": True,
        "task_publish_retry_policy": {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0},
        "task_default_queue": settings.queue,
        "task_create_missing_queues": False,
        "beat_scheduler": "keel.celery.worker.beat:LeasedScheduler",
        "beat_max_loop_interval": 1,
        **_TRANSPORTS[get_scheme(url)](settings),
    }


def _rabbitmq(settings: CelerySettings) -> dict[str, Any]:
    """Quorum queues, which survive the loss of a node, and publisher confirms."""
    arguments = {"x-queue-type": "quorum", "x-delivery-limit": DELIVERIES}
    # A topic exchange: Celery needs one to delay messages with an ETA, should you send some.
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


def _redis(settings: CelerySettings) -> dict[str, Any]:
    """Keys with a prefix; a message is redelivered only after the hard time limit of its task."""
    from keel.celery.broker.kombu_redis import patch_kombu

    patch_kombu()
    return {
        "task_queues": [Queue(settings.queue)],
        "broker_transport_options": {
            "global_keyprefix": f"{settings.queue}:",
            "visibility_timeout": settings.hard_time_limit + 60,
            "socket_connect_timeout": CONNECT_SECONDS,
            "socket_timeout": CONNECT_SECONDS * 10,
            "socket_keepalive": True,
            "retry_on_timeout": True,
            "max_retries": 1,
        },
    }


def _in_process(settings: CelerySettings) -> dict[str, Any]:
    return {"task_queues": [Queue(settings.queue)]}


_TRANSPORTS: dict[str, Callable[[CelerySettings], dict[str, Any]]] = {
    "amqp": _rabbitmq,
    "amqps": _rabbitmq,
    "redis": _redis,
    "rediss": _redis,
    "sentinel": _redis,
    "memory": _in_process,
}


def send(celery: Celery, task_id: UUID) -> None:
    """Publish a task, and wait for the broker's confirmation.

    Raises:
        Exception: the broker did not accept the message.
    """
    celery.send_task(RUN_TASK, args=[str(task_id)], task_id=str(task_id), ignore_result=True)
