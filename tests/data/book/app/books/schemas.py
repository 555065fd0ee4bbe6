"""What callers send and get."""

from datetime import date
from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID

from pydantic import MISSING, BaseModel, Field

from app.books.models import Status
from keel.text import SafeStr
from keel.web.pagination import PageQuery

Name = Annotated[SafeStr, Field(min_length=1, max_length=200)]
Isbn = Annotated[str, Field(pattern=r"^97[89][0-9]{10}$")]
Price = Annotated[Decimal, Field(ge=0, max_digits=10, decimal_places=2)]


class BookCreate(BaseModel, extra="forbid"):
    """A new book."""

    title: Name
    author: Name
    isbn: Isbn
    price: Price
    published: date | None = None
    status: Status = Status.UNREAD


class BookUpdate(BaseModel, extra="forbid"):
    """Changes to a book; what is left out stays as it is."""

    title: Name | MISSING = MISSING
    author: Name | MISSING = MISSING
    isbn: Isbn | MISSING = MISSING
    price: Price | MISSING = MISSING
    published: date | MISSING | None = MISSING
    status: Status | MISSING = MISSING


class Book(BaseModel, from_attributes=True):
    """A book."""

    id: UUID
    title: str
    author: str
    isbn: str
    price: Decimal
    published: date | None
    status: Status


class BookQuery(PageQuery):
    """Which books a list holds, and in which order; a minus puts the highest first."""

    author: Name | None = None
    status: Status | None = None
    sort: Literal["title", "-title", "price", "-price", "published", "-published"] = "title"
