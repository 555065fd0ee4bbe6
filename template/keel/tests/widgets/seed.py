"""Demonstration widgets."""

from collections.abc import AsyncIterator

from fastapi import FastAPI

from keel.services import services_of
from keel.tests.widgets.schemas import WidgetCreate
from keel.tests.widgets.service import WidgetService


async def seed(app: FastAPI, count: int) -> AsyncIterator[None]:
    """Add widgets of `seed_owner`, yielding after each."""
    services = services_of(app)
    async with services.database.transaction() as session:
        widgets = WidgetService(session, services.seed_owner, services.pubsub)
        for number in range(1, count + 1):
            await widgets.create(WidgetCreate(title=f"Widget {number}"))
            yield
