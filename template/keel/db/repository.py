"""The base of repositories: the statements that every table needs, built once for each class."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, ClassVar, Generic, TypeVar, cast

from sqlalchemy import ColumnElement, Select, Table, bindparam, func, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.sql.dml import ReturningInsert

from keel.db.database import AnyRow, ReadSession, Session
from keel.db.models import Base
from keel.db.pagination import ordered, read_cursor, to_page
from keel.web.errors import AppError, InUse
from keel.web.pagination import Page, PageQuery

M = TypeVar("M", bound=Base)
T = TypeVar("T")


async def insert_one(session: Session, model: type[Base], /, **values: Any) -> AnyRow:
    """Insert a row; return it with its defaults.

    One statement, built once for each model, at two thirds of the cost of `session.add` and `session.flush`.

    Raises:
        IntegrityError: a constraint refuses the row.
    """
    return (await session.execute(_insert(model), values)).one()


@contextmanager
def unique(error: AppError) -> Generator[None]:
    """Raise an `AppError` if a unique constraint refuses a row; let it propagate out of the transaction's block."""
    try:
        yield
    except IntegrityError as refusal:
        if _code(refusal) not in _NOT_UNIQUE:
            raise
        raise error from None


def _code(refusal: IntegrityError) -> str | None:
    return getattr(refusal.orig, "sqlstate", None) or getattr(refusal.orig, "sqlite_errorname", None)


_NOT_UNIQUE = {"23505", "SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY"}
_REFERRED = {"23001", "23503", "SQLITE_CONSTRAINT_FOREIGNKEY", "SQLITE_CONSTRAINT_TRIGGER"}


class Repository(Generic[M]):
    """Queries on one table. A subclass names the model and adds its own queries.

    On a `ReadSession` it can only read. Keyword arguments are conditions of equality, such as `owner_id=...`.
    """

    model: type[M]
    columns: ClassVar[Sequence[Any]] = ()
    """The columns that `get` and `page` select; by default, all of the table."""

    def __init__(self, session: Session | ReadSession) -> None:
        self.session = session

    @property
    def writing(self) -> Session:
        """The session, for statements that write.

        Raises:
            TypeError: this repository has a `ReadSession`.
        """
        if isinstance(self.session, Session):
            return self.session
        raise TypeError(f"{type(self).__name__} was given a ReadSession, which can't write; pass a Session.")

    async def get(self, /, **where: Any) -> AnyRow | None:
        """Return a row, for reading; None if there is none."""
        return await self.session.first(_select(type(self), tuple(where)), where)

    async def count(self, /, **where: Any) -> int:
        """Return how many rows there are."""
        return await self.session.scalar(_count(type(self), tuple(where)), where) or 0

    async def page(
        self,
        schema: type[T],
        query: PageQuery,
        /,
        *conditions: ColumnElement[bool],
        **where: Any,
    ) -> Page[T]:
        """Return the page that a query describes, of rows that meet all conditions.

        Raises:
            InvalidCursor: the cursor is not from a list in this order.
        """
        after = read_cursor(_select(type(self)), query.sort, query.cursor)
        statement = _page(type(self), tuple(where), query.sort, tuple(after))
        if conditions:
            statement = statement.where(*conditions)
        rows = await self.session.all(statement, {**where, **after, "page_limit": query.limit + 1})
        return to_page(rows, schema, query.sort, query.limit)

    async def add(self, /, **values: Any) -> AnyRow:
        """Insert a row; return it with its defaults.

        Raises:
            IntegrityError: a constraint refuses the row.
        """
        return await insert_one(self.writing, self.model, **values)

    async def get_for_update(self, /, **where: Any) -> M | None:
        """Return an entity, locked until the transaction ends, so that no concurrent change is lost."""
        return (await self.writing.scalars(_locked(self.model, tuple(where)), where)).one_or_none()

    async def update(self, entity: M, /, **changes: Any) -> None:
        """Change attributes of an entity and write them.

        Raises:
            IntegrityError: a constraint refuses the change.
        """
        for name, value in changes.items():
            setattr(entity, name, value)
        await self.writing.flush()

    async def delete(self, entity: M) -> None:
        """Delete an entity.

        Raises:
            InUse: rows of other tables refer to it.
        """
        await self.writing.delete(entity)
        try:
            await self.writing.flush()
        except IntegrityError as refusal:
            if _code(refusal) not in _REFERRED:
                raise
            raise InUse("Others refer to this; delete them first.") from None


@cache
def _insert(model: type[Base]) -> ReturningInsert[*tuple[Any, ...]]:
    table = cast("Table", model.__table__)
    return insert(table).returning(*table.columns)


@cache
def _select(kind: type[Repository[Any]], names: tuple[str, ...] = ()) -> Select[*tuple[Any, ...]]:
    columns = kind.model.__table__.columns
    return select(*(kind.columns or columns)).where(*(columns[name] == bindparam(name) for name in names))


@cache
def _count(kind: type[Repository[Any]], names: tuple[str, ...]) -> Select[*tuple[Any, ...]]:
    return _select(kind, names).with_only_columns(func.count(), maintain_column_froms=True)


@cache
def _page(
    kind: type[Repository[Any]], names: tuple[str, ...], order: str, after: tuple[str, ...]
) -> Select[*tuple[Any, ...]]:
    return ordered(_select(kind, names), order, after)


@cache
def _locked(model: type[M], names: tuple[str, ...]) -> Select[M]:
    return select(model).where(*(getattr(model, name) == bindparam(name) for name in names)).with_for_update()
