"""HTTP for widgets."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response, status

from keel.idempotency.route import IdempotentRoute
from keel.identity import RESPONSES
from keel.tests.widgets.dependencies import WidgetsDep, WidgetsReadDep
from keel.tests.widgets.schemas import Widget, WidgetCreate, WidgetQuery, WidgetUpdate
from keel.tests.widgets.service import WidgetNotFound
from keel.web import errors
from keel.web.pagination import Page

SCOPES = {"widgets:read": "Read your widgets", "widgets:write": "Change your widgets"}

router = APIRouter(prefix="/widgets", tags=["widgets"], responses=RESPONSES, route_class=IdempotentRoute)

NOT_FOUND = errors.responses(WidgetNotFound)


@router.get("")
async def list_widgets(query: Annotated[WidgetQuery, Query()], widgets: WidgetsReadDep) -> Page[Widget]:
    """List your widgets, the newest first."""
    return await widgets.list(query)


@router.post("", status_code=status.HTTP_201_CREATED)
async def create_widget(data: WidgetCreate, widgets: WidgetsDep, request: Request, response: Response) -> Widget:
    """Add a widget."""
    widget = await widgets.create(data)
    response.headers["Location"] = f"{request.url.path}/{widget.id}"
    return widget


@router.get("/{widget_id}", responses=NOT_FOUND)
async def read_widget(widget_id: UUID, widgets: WidgetsReadDep) -> Widget:
    """Read a widget."""
    return await widgets.get(widget_id)


@router.patch("/{widget_id}", responses=NOT_FOUND)
async def update_widget(widget_id: UUID, data: WidgetUpdate, widgets: WidgetsDep) -> Widget:
    """Change the fields of a widget that you send."""
    return await widgets.update(widget_id, data)


@router.delete("/{widget_id}", status_code=status.HTTP_204_NO_CONTENT, responses=NOT_FOUND)
async def delete_widget(widget_id: UUID, widgets: WidgetsDep) -> None:
    """Remove a widget."""
    await widgets.delete(widget_id)
