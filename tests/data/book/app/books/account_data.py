"""Books of an account that is deleted or merged."""

from sqlalchemy import delete, update

from app.books.models import Book
from keel.db.database import Session
from keel.services import Services


class BookAccountData:
    """The books of a subject."""

    async def delete(self, session: Session, subject: str) -> None:
        """Delete a subject's books."""
        await session.execute(delete(Book).where(Book.owner_id == subject))

    async def transfer_ownership(self, session: Session, old: str, new: str) -> None:
        """Transfer a subject's books to another one."""
        await session.execute(update(Book).where(Book.owner_id == old).values(owner_id=new))


def account_data(_: Services) -> BookAccountData:
    """Return the handler of books."""
    return BookAccountData()
