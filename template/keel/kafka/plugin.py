"""The outbox, its endpoint, readiness checks and retention. Nothing here connects to a broker."""

from datetime import timedelta

from fastapi import FastAPI
from sqlalchemy import CursorResult, Delete, delete

from keel import clock
from keel.background.schedule import Purge
from keel.db.database import Session
from keel.hooks import PackageError
from keel.kafka import readiness, router
from keel.kafka.cloudevents.event import Event
from keel.kafka.consuming.consumers import Consumer
from keel.kafka.models import InboxEvent, OutboxEvent
from keel.kafka.publishing.outbox import Outbox
from keel.kafka.services import KafkaServices
from keel.kafka.settings import KafkaSettings
from keel.packages import load_each
from keel.services import Services, services_of


def install(app: FastAPI) -> None:
    """Add the outbox and its endpoint, and collect events and consumers from packages.

    Raises:
        SettingsError: a setting is invalid.
        PackageError: two consumers have the same name, or two events the same type and version.
    """
    settings, services = KafkaSettings.load(), services_of(app)
    services.kafka = KafkaServices(settings, Outbox(services.job_context, settings.max_event_size), {}, {})
    _add_events(services)
    _add_consumers(services)
    if settings.connected:
        readiness.add_checks(app, settings)
    services.retention.register("kafka outbox", _purge_outbox(settings))
    services.retention.register("kafka inbox", _purge_inbox(settings))
    app.include_router(router.router, prefix="/api/v1")


def _add_events(services: Services) -> None:
    known: dict[str, type[Event]] = {}
    for package, module in load_each(services.packages, "outbox"):
        kinds = services.kafka.event_types[package.name] = tuple(module.event_types(services))
        for kind in kinds:
            if other := known.get(kind.schema_name()):
                raise PackageError(f"{kind.__module__} and {other.__module__} both have {kind.schema_name()}.")
            known[kind.schema_name()] = kind


def _add_consumers(services: Services) -> None:
    known = services.kafka.consumers
    for package, module in load_each(services.packages, "consumers"):
        for consumer in module.consumers(services):
            found: Consumer = consumer
            if found.name in known:
                raise PackageError(f"{package.name}.consumers: there is a consumer {found.name!r} already.")
            known[found.name] = found


def _purge_outbox(settings: KafkaSettings) -> Purge:
    async def purge(session: Session) -> int:
        old = clock.now() - timedelta(days=settings.retention_days)
        return await _delete(session, delete(OutboxEvent).where(OutboxEvent.sent_at < old))

    return purge


def _purge_inbox(settings: KafkaSettings) -> Purge:
    async def purge(session: Session) -> int:
        old = clock.now() - timedelta(days=settings.inbox_retention_days)
        return await _delete(session, delete(InboxEvent).where(InboxEvent.handled_at < old))

    return purge


async def _delete(session: Session, statement: Delete) -> int:
    """Delete rows without loading them, as there may be millions; return their number."""
    result = await session.execute(statement, execution_options={"synchronize_session": False})
    return result.rowcount if isinstance(result, CursorResult) else 0
