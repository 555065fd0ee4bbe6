"""Queries on loans, joined to the books of another package."""

from sqlalchemy import select

from app.books.models import Book
from app.library.lending.models import Loan
from app.library.lending.schemas import LoanOut, LoanQuery
from keel.db.pagination import paginate
from keel.db.repository import Repository
from keel.web.pagination import Page


class LoanRepository(Repository[Loan]):
    """Loans."""

    model = Loan

    async def search(self, owner_id: str, query: LoanQuery) -> Page[LoanOut]:
        """Return a page of the loans of an owner's books."""
        statement = select(Loan.id, Loan.borrower, Book.title, Book.price)
        statement = statement.join(Book, Book.id == Loan.book_id).where(Book.owner_id == owner_id)
        return await paginate(
            self.session, statement, LoanOut, order=query.sort, cursor=query.cursor, limit=query.limit
        )
