"""Queries on books."""

from app.books import schemas
from app.books.models import Book
from keel.db.repository import Repository
from keel.web.pagination import Page


class BookRepository(Repository[Book]):
    """Books: `get`, `page`, `add`, `get_for_update`, `update` and `delete` are inherited."""

    model = Book

    async def search(self, owner_id: str, query: schemas.BookQuery) -> Page[schemas.Book]:
        """Return a page of an owner's books."""
        filters = query.model_dump(include={"author", "status"}, exclude_none=True)
        return await self.page(schemas.Book, query, owner_id=owner_id, **filters)
