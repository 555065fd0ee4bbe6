"""Response models."""

from decimal import Decimal
from typing import Literal
from uuid import UUID

from pydantic import BaseModel

from keel.web.pagination import PageQuery


class LoanOut(BaseModel, from_attributes=True):
    """A loan, with the book's title and price."""

    id: UUID
    borrower: str
    title: str
    price: Decimal


class LoanQuery(PageQuery):
    """The order of a list."""

    sort: Literal["title", "-price"] = "title"
