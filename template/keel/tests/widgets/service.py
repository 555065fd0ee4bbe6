"""Business rules for widgets: each belongs to the caller who created it; new ones are published."""

from functools import partial
from uuid import UUID

from keel.caller import Caller
from keel.db.database import ReadSession, Session
from keel.messaging.pubsub import PubSub
from keel.tests.widgets import models, repository
from keel.tests.widgets.schemas import Widget, WidgetCreate, WidgetQuery, WidgetUpdate
from keel.web.errors import NotFound
from keel.web.pagination import Page


class WidgetNotFound(NotFound):
    """There is no such widget, or it belongs to another caller."""

    type = "urn:problem:widget-not-found"


def topic(caller: Caller) -> str:
    """Return the topic of a caller's widgets."""
    return f"widgets:{caller.subject}"


class WidgetReadService:
    """Reads a caller's widgets."""

    def __init__(self, session: ReadSession, caller: Caller) -> None:
        self._session = session
        self._caller = caller

    async def list(self, query: WidgetQuery) -> Page[Widget]:
        """Return a page, the newest first."""
        rows = await repository.page(self._session, self._caller.subject, query.limit + 1, query.cursor)
        items = [Widget.model_validate(row) for row in rows[: query.limit]]
        return Page(items=items, next=str(items[-1].id) if len(rows) > query.limit else None)

    async def get(self, widget_id: UUID) -> Widget:
        """Return a widget.

        Raises:
            WidgetNotFound: the caller has no such widget.
        """
        row = await repository.read(self._session, self._caller.subject, widget_id)
        if row is None:
            raise WidgetNotFound("There is no such widget.")
        return Widget.model_validate(row)


class WidgetService:
    """Changes a caller's widgets."""

    def __init__(self, session: Session, caller: Caller, pubsub: PubSub) -> None:
        self._session = session
        self._caller = caller
        self._pubsub = pubsub

    async def create(self, data: WidgetCreate) -> Widget:
        """Add a widget, and publish it once it is committed."""
        row = models.Widget(owner_id=self._caller.subject, **data.model_dump())
        self._session.add(row)
        await self._session.flush()
        widget = Widget.model_validate(row)
        self._session.after_commit(
            partial(self._pubsub.publish, topic(self._caller), "created", widget.model_dump_json())
        )
        return widget

    async def update(self, widget_id: UUID, data: WidgetUpdate) -> Widget:
        """Change a widget.

        Raises:
            WidgetNotFound: the caller has no such widget.
        """
        row = await self._find(widget_id)
        for field, value in data.model_dump(exclude_unset=True).items():
            setattr(row, field, value)
        await self._session.flush()
        return Widget.model_validate(row)

    async def delete(self, widget_id: UUID) -> None:
        """Remove a widget.

        Raises:
            WidgetNotFound: the caller has no such widget.
        """
        await self._session.delete(await self._find(widget_id))

    async def _find(self, widget_id: UUID) -> models.Widget:
        row = await repository.get(self._session, self._caller.subject, widget_id)
        if row is None:
            raise WidgetNotFound("There is no such widget.")
        return row
