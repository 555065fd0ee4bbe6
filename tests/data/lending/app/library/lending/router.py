"""HTTP for loans."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, status
from pydantic import BaseModel

from app.books.router import BooksReadDep
from app.library.lending.repository import LoanRepository
from app.library.lending.schemas import LoanOut, LoanQuery
from keel.dependencies import ReadSessionDep, SessionDep
from keel.identity import RESPONSES, CallerDep
from keel.web.pagination import LinksDep, Page
from keel.web.rate_limit import limit

router = APIRouter(prefix="/loans", tags=["loans"], responses=RESPONSES)


class LoanCreate(BaseModel, extra="forbid"):
    """A new loan."""

    book_id: UUID
    borrower: str


@router.post("", status_code=status.HTTP_204_NO_CONTENT, dependencies=[Depends(limit("100/minute"))])
async def lend(data: LoanCreate, books: BooksReadDep, session: SessionDep) -> None:
    """Lend a book of yours."""
    book = await books.get(data.book_id)
    await LoanRepository(session).add(book_id=book.id, borrower=data.borrower)


@router.get("")
async def list_loans(
    query: Annotated[LoanQuery, Query()], session: ReadSessionDep, caller: CallerDep, links: LinksDep
) -> Page[LoanOut]:
    """List the loans of your books."""
    return links.add(await LoanRepository(session).search(caller.subject, query))
