"""The exporter of widgets."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import func, select

from keel.celery.export.exporters import Exporter
from keel.db.database import ReadSession
from keel.services import Services
from keel.tests.widgets import models
from keel.tests.widgets.schemas import Widget

PAGE = 100


class WidgetExporter:
    """Reads widgets, oldest first."""

    scope = "widgets:read"
    columns: Sequence[str] = tuple(Widget.model_fields)

    async def count(self, session: ReadSession, subject: str) -> int:
        """Return the number of widgets."""
        owned = select(func.count().label("count")).where(models.Widget.owner_id == subject)
        return (await session.all(owned))[0].count

    async def rows(self, session: ReadSession, subject: str) -> AsyncIterator[Mapping[str, Any]]:
        """Read the widgets, a page at a time."""
        owned = select(models.Widget.__table__).where(models.Widget.owner_id == subject)
        after = UUID(int=0)
        while page := await session.all(owned.where(models.Widget.id > after).order_by(models.Widget.id).limit(PAGE)):
            for row in page:
                yield Widget.model_validate(row).model_dump(mode="json")
            after = page[-1].id


def exporters(_: Services) -> dict[str, Exporter]:
    """Return the exporter of widgets."""
    return {"widgets": WidgetExporter()}
