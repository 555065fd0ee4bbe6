"""HTTP for books."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response, status

from app.books.schemas import Book, BookCreate, BookQuery, BookUpdate
from app.books.service import BookExists, BookNotFound, BookService
from keel.dependencies import ReadSessionDep, SessionDep
from keel.idempotency.route import IdempotentRoute
from keel.identity import RESPONSES, CallerDep
from keel.web.errors import InUse, responses
from keel.web.pagination import LinksDep, Page

router = APIRouter(prefix="/books", tags=["books"], route_class=IdempotentRoute, responses=RESPONSES)


async def get_read_service(session: ReadSessionDep, caller: CallerDep) -> BookService:
    """Return the service for a request that reads."""
    return BookService(session, caller)


async def get_service(session: SessionDep, caller: CallerDep) -> BookService:
    """Return the service for a request that writes, in one transaction."""
    return BookService(session, caller)


BooksReadDep = Annotated[BookService, Depends(get_read_service)]
BooksDep = Annotated[BookService, Depends(get_service)]


@router.get("")
async def list_books(query: Annotated[BookQuery, Query()], books: BooksReadDep, links: LinksDep) -> Page[Book]:
    """List your books."""
    return links.add(await books.list(query))


@router.post("", status_code=status.HTTP_201_CREATED, responses=responses(BookExists))
async def create_book(data: BookCreate, books: BooksDep, request: Request, response: Response) -> Book:
    """Add a book."""
    book = await books.create(data)
    response.headers["Location"] = f"{request.url.path}/{book.id}"
    return book


@router.get("/{book_id}", responses=responses(BookNotFound))
async def read_book(book_id: UUID, books: BooksReadDep) -> Book:
    """Read a book."""
    return await books.get(book_id)


@router.patch("/{book_id}", responses=responses(BookNotFound, BookExists))
async def update_book(book_id: UUID, data: BookUpdate, books: BooksDep) -> Book:
    """Change the fields of a book that you send."""
    return await books.update(book_id, data)


@router.delete("/{book_id}", status_code=status.HTTP_204_NO_CONTENT, responses=responses(BookNotFound, InUse))
async def delete_book(book_id: UUID, books: BooksDep) -> None:
    """Delete a book."""
    await books.delete(book_id)
