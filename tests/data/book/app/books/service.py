"""The rules of books: who owns them, and what is refused."""

from uuid import UUID

from app.books import models
from app.books.repository import BookRepository
from app.books.schemas import Book, BookCreate, BookQuery, BookUpdate
from keel.caller import Caller
from keel.db.database import ReadSession, Session
from keel.db.repository import unique
from keel.web.errors import Conflict, NotFound
from keel.web.pagination import Page


class BookNotFound(NotFound):
    """There is no such book, or it belongs to another owner."""

    type = "urn:problem:book-not-found"


class BookExists(Conflict):
    """There is already a book with the same isbn."""

    type = "urn:problem:book-exists"


class BookService:
    """Reads and changes an owner's books; with a `ReadSession` it can only read."""

    def __init__(self, session: Session | ReadSession, caller: Caller) -> None:
        self._books = BookRepository(session)
        self._owner_id = caller.subject

    async def list(self, query: BookQuery) -> Page[Book]:
        """Return a page of books."""
        return await self._books.search(self._owner_id, query)

    async def get(self, book_id: UUID) -> Book:
        """Return a book."""
        book = await self._books.get(id=book_id, owner_id=self._owner_id)
        if book is None:
            raise BookNotFound("There is no such book.")
        return Book.model_validate(book)

    async def create(self, data: BookCreate) -> Book:
        """Add a book."""
        with unique(BookExists("You have a book with this isbn already.")):
            book = await self._books.add(owner_id=self._owner_id, **data.model_dump())
        return Book.model_validate(book)

    async def update(self, book_id: UUID, data: BookUpdate) -> Book:
        """Change a book."""
        book = await self._get_for_update(book_id)
        with unique(BookExists("You have a book with this isbn already.")):
            await self._books.update(book, **data.model_dump(exclude_unset=True))
        return Book.model_validate(book)

    async def delete(self, book_id: UUID) -> None:
        """Delete a book."""
        await self._books.delete(await self._get_for_update(book_id))

    async def _get_for_update(self, book_id: UUID) -> models.Book:
        book = await self._books.get_for_update(id=book_id, owner_id=self._owner_id)
        if book is None:
            raise BookNotFound("There is no such book.")
        return book
