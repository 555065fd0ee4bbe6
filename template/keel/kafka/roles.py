"""Entry points of this package's processes, run inside the application's lifespan. Only they import aiokafka."""

import asyncio
import os
import signal
from collections.abc import Sequence

from fastapi import FastAPI

from keel.kafka.consuming.consumers import Consumer
from keel.kafka.services import KafkaServices
from keel.services import Services, services_of


class RoleError(Exception):
    """The command cannot be carried out; the message says why."""


def prepare() -> None:
    """Leave signals to the application's lifespan, which ends the roles, and migrations to the server."""
    # Several processes start at the same time.
    os.environ.setdefault("DATABASE_MIGRATE_AT_START", "false")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: None)


async def relay(app: FastAPI) -> None:
    """Publish the outbox until shutdown."""
    from keel.kafka.client import bound_log
    from keel.kafka.publishing.publisher import Publisher
    from keel.kafka.publishing.relay import Relay

    bound_log()
    services, kafka = _parts(app)
    await Relay(services.database, kafka.settings, Publisher(kafka.settings)).run(services.shutdown)


async def consume(app: FastAPI, names: Sequence[str]) -> None:
    """Run consumers until shutdown; all of them if `names` is empty.

    Raises:
        RoleError: there are no consumers, or a name is unknown.
    """
    from keel.kafka.client import bound_log
    from keel.kafka.consuming.runner import Runner

    bound_log()
    services, kafka = _parts(app)
    consumers = [_consumer(kafka, name) for name in names] or list(kafka.consumers.values())
    if not consumers:
        raise RoleError("There are no consumers: no package has a module `consumers`.")
    async with asyncio.TaskGroup() as group:
        for consumer in consumers:
            runner = Runner(services.database, kafka.settings, services.job_context, consumer, services.shutdown)
            group.create_task(runner.run())


async def rebuild(app: FastAPI, name: str) -> int:
    """Rebuild a consumer's data; return the number of messages handled.

    Raises:
        RoleError: the name is unknown, the consumer cannot be rebuilt, or the brokers do not answer.
    """
    from aiokafka.errors import KafkaError

    from keel.kafka.consuming import rebuilding
    from keel.kafka.consuming.runner import Runner

    services, kafka = _parts(app)
    consumer = _consumer(kafka, name)
    runner = Runner(services.database, kafka.settings, services.job_context, consumer, services.shutdown)
    try:
        return await rebuilding.rebuild(services.database, kafka.settings, consumer, runner)
    except (rebuilding.CannotRebuild, KafkaError, TimeoutError) as error:
        raise RoleError(f"Cannot rebuild: {str(error) or 'the brokers do not answer'}") from error


async def create_topics(app: FastAPI) -> list[str]:
    """Create missing topics; return their names.

    Raises:
        RoleError: the brokers do not answer, or refuse.
    """
    from aiokafka.errors import KafkaError

    from keel.kafka import topics

    _, kafka = _parts(app)
    try:
        return await topics.create(kafka.settings, [kafka.settings.topic(each) for each in kafka.aggregates])
    except KafkaError as error:
        raise RoleError(f"Cannot create topics: {error!r}") from error


def _parts(app: FastAPI) -> tuple[Services, KafkaServices]:
    services = services_of(app)
    return services, services.kafka


def _consumer(kafka: KafkaServices, name: str) -> Consumer:
    if name not in kafka.consumers:
        raise RoleError(f"There is no consumer {name!r}; known: {', '.join(kafka.consumers) or 'none'}.")
    return kafka.consumers[name]
