"""A SQLite database is copied into PostgreSQL completely, or not at all."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Engine, ForeignKey, Table, create_engine, func, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from keel.db.database import Database
from keel.db.models import UtcTimestamp
from keel.postgresql import copying
from keel.postgresql.copying import CopyError, copy_database


class Base(DeclarativeBase):
    """Tables of these tests alone."""


class Folder(Base):
    """Numbered by the database, with an optional parent folder."""

    __tablename__ = "copied_folders"

    id: Mapped[int] = mapped_column(primary_key=True)
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("copied_folders.id"))


class Paper(Base):
    """In a folder; with a datetime."""

    __tablename__ = "copied_papers"

    id: Mapped[str] = mapped_column(primary_key=True)
    folder_id: Mapped[int] = mapped_column(ForeignKey("copied_folders.id"))
    written_at: Mapped[datetime] = mapped_column(UtcTimestamp())


FOLDERS: Table = Base.metadata.tables["copied_folders"]
PAPERS: Table = Base.metadata.tables["copied_papers"]
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def source(tmp_path: Path) -> str:
    """Return the URL of a database with folders that reference later ones, and more papers than a batch."""
    url = f"sqlite:///{tmp_path / 'old.db'}"
    engine: Engine = create_engine(url)
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(insert(FOLDERS), [{"id": 1, "parent_id": 7}, {"id": 7, "parent_id": None}])
        papers = [{"id": uuid4().hex, "folder_id": 1, "written_at": NOON} for _ in range(2500)]
        connection.execute(insert(PAPERS), papers)
    engine.dispose()
    return url


@pytest.fixture
async def target(database: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[AsyncEngine]:
    """Return an engine of a database that has these tables, empty."""
    monkeypatch.setattr(copying, "Base", Base)
    engine = database.migrator()
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield engine
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.drop_all)
    await engine.dispose()


async def test_every_row_is_copied(source: str, target: AsyncEngine) -> None:
    """Rows that reference each other and datetimes are copied; sequences continue after the highest number."""
    told: list[tuple[str, int]] = []

    copied = await copy_database(source, target, lambda table, count: told.append((table, count)))

    assert copied == {"copied_folders": 2, "copied_papers": 2500}
    assert told == [("copied_folders", 2), ("copied_papers", 1000), ("copied_papers", 2000), ("copied_papers", 2500)]
    async with target.begin() as connection:
        rows = (await connection.execute(select(FOLDERS).order_by(FOLDERS.c.id))).all()
        assert [tuple(row) for row in rows] == [(1, 7), (7, None)]
        assert await connection.scalar(select(PAPERS.c.written_at).limit(1)) == NOON
        new = await connection.execute(insert(FOLDERS).returning(FOLDERS.c.id))
        assert new.scalar_one() == 8


async def test_a_target_with_rows_is_refused(source: str, target: AsyncEngine) -> None:
    """The error names the tables that have rows."""
    async with target.begin() as connection:
        await connection.execute(insert(FOLDERS), {"id": 3})

    with pytest.raises(CopyError, match=r"must be empty, but has rows in: copied_folders"):
        await copy_database(source, target, lambda *_: None)


async def test_an_error_leaves_nothing_behind(source: str, target: AsyncEngine) -> None:
    """A row that PostgreSQL rejects rolls back everything."""
    engine = create_engine(source)
    with engine.begin() as connection:
        connection.execute(insert(PAPERS), {"id": "x", "folder_id": 404, "written_at": NOON})
    engine.dispose()

    with pytest.raises(CopyError, match="violates foreign key"):
        await copy_database(source, target, lambda *_: None)

    async with target.connect() as connection:
        assert await connection.scalar(select(func.count()).select_from(FOLDERS)) == 0


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("postgresql://localhost/app", "not the URL of a SQLite database"),
        ("app.db", "not the URL of a SQLite database"),
        ("sqlite:///missing.db", r"no file missing\.db"),
    ],
)
async def test_invalid_source(url: str, message: str, target: AsyncEngine) -> None:
    """The message says what to write."""
    with pytest.raises(CopyError, match=message):
        await copy_database(url, target, lambda *_: None)


async def test_outdated_schema(tmp_path: Path, target: AsyncEngine) -> None:
    """Missing tables are named, with the command that creates them."""
    empty = tmp_path / "empty.db"
    empty.touch()

    with pytest.raises(CopyError, match=r"Tables are missing in the source: copied_folders, copied_papers\. Run"):
        await copy_database(f"sqlite:///{empty}", target, lambda *_: None)
