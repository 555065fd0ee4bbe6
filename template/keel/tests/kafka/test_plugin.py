"""Events and consumers of packages are found and checked; expired rows are deleted."""

from dataclasses import replace
from datetime import timedelta

import pytest
from fastapi import FastAPI
from sqlalchemy import update

from keel import clock
from keel.hooks import PackageError
from keel.kafka.models import InboxEvent, OutboxEvent
from keel.kafka.settings import KafkaSettings
from keel.services import services_of
from keel.tests.application import create_app
from keel.tests.kafka.support import handled, inbox, messages, record, recorded
from keel.tests.widgets import consumers, outbox


def test_packages_are_found(app: FastAPI) -> None:
    """With their events, consumers and aggregates."""
    kafka = services_of(app).kafka
    assert kafka.event_types["keel.tests.widgets"] == (outbox.WidgetMade,)
    assert "widgets" in kafka.consumers
    assert "widgets" in kafka.aggregates


def test_duplicate_consumer_names_are_refused(environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """They would share a group, and each would miss the other's events."""
    (one,) = consumers.consumers(services_of(create_app()))
    monkeypatch.setattr(consumers, "consumers", lambda _: [one, replace(one, aggregates=["other"])])
    with pytest.raises(PackageError, match="there is a consumer 'widgets' already"):
        create_app()


def test_duplicate_event_types_are_refused(environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Consumers could not tell them apart."""
    monkeypatch.setattr(outbox, "event_types", lambda _: [outbox.WidgetMade, outbox.WidgetMade])
    with pytest.raises(PackageError, match=r"urn:event:widgets\.made:1"):
        create_app()


async def test_purge(app: FastAPI, kafka_settings: KafkaSettings) -> None:
    """Old sent events and old ids are deleted; waiting events never are."""
    await record(app, ("ada", 1), ("ada", 2), ("ada", 3))
    await inbox(app, kafka_settings).handle_all(await messages(app))
    first, second, third = await recorded(app)
    old = clock.now() - timedelta(days=60)
    async with services_of(app).database.transaction() as session:
        await session.execute(update(OutboxEvent).values(created_at=old))
        sent = update(OutboxEvent).where(OutboxEvent.position == first.position)
        await session.execute(sent.values(sent_at=old))
        await session.execute(
            update(OutboxEvent).where(OutboxEvent.position == second.position).values(sent_at=clock.now())
        )
        await session.execute(update(InboxEvent).values(handled_at=old))

    deleted = await services_of(app).retention.run(services_of(app).database)
    assert deleted["kafka outbox"] == 1
    assert deleted["kafka inbox"] == 3
    assert [row.position for row in await recorded(app)] == [second.position, third.position]
    # A duplicate of a forgotten event would take effect again: topics must not keep events longer than the inbox.
    assert await handled(app) == {"ada": [1, 2, 3]}
