"""Widgets of deleted and transferred accounts."""

from sqlalchemy import delete, update

from keel.db.database import Session
from keel.services import Services
from keel.tests.widgets.models import Widget


class WidgetAccountData:
    """The widgets of a subject."""

    async def delete(self, session: Session, subject: str) -> None:
        """Delete a subject's widgets."""
        await session.execute(delete(Widget).where(Widget.owner_id == subject))

    async def transfer_ownership(self, session: Session, old: str, new: str) -> None:
        """Transfer a subject's widgets to another one."""
        await session.execute(update(Widget).where(Widget.owner_id == old).values(owner_id=new))


def account_data(_: Services) -> WidgetAccountData:
    """Return the handler for `keel.auth`."""
    return WidgetAccountData()
