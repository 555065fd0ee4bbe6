"""Request and response models."""

from datetime import date
from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID

from pydantic import MISSING, BaseModel, Field

from app.books.models import BookStatus
from keel.text import SafeStr
from keel.web.pagination import PageQuery

Title = Annotated[SafeStr, Field(min_length=1, max_length=200)]
Author = Annotated[SafeStr, Field(min_length=1, max_length=200)]
Isbn = Annotated[SafeStr, Field(min_length=1, max_length=13)]
Price = Annotated[Decimal, Field(max_digits=10, decimal_places=2)]


class BookCreate(BaseModel, extra="forbid"):
    """A new book."""

    title: Title
    author: Author
    isbn: Isbn
    price: Price
    published: date | None = None
    status: BookStatus = BookStatus.UNREAD


class BookUpdate(BaseModel, extra="forbid"):
    """Changes to a book; omitted fields stay as they are."""

    title: Title | MISSING = MISSING
    author: Author | MISSING = MISSING
    isbn: Isbn | MISSING = MISSING
    price: Price | MISSING = MISSING
    published: date | MISSING | None = MISSING
    status: BookStatus | MISSING = MISSING


class Book(BaseModel, from_attributes=True):
    """A book."""

    id: UUID
    title: str
    author: str
    isbn: str
    price: Decimal
    published: date | None
    status: BookStatus


class BookQuery(PageQuery):
    """The filters and order of a list of books; with a minus, highest first."""

    author: Author | None = None
    status: BookStatus | None = None
    sort: Literal["title", "-title", "author", "-author", "price", "-price", "published", "-published"] = "title"
