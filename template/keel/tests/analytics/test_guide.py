"""The guide "Your own statistics": both modules work as described, with names that no project has."""

import re
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import MetaData

from app.main import create_app
from keel.about import ROOT
from keel.db.models import Base
from keel.hooks import checked
from keel.services import services_of
from keel.testing.support import running

PAGE = (ROOT / "keel" / "docs" / "features" / "analytics.md").read_text(encoding="utf-8")
MODELS, STATISTICS = re.findall(
    r"^```python\n(.+?)^```$", PAGE.partition("### Your own statistics")[2], re.MULTILINE | re.DOTALL
)
NAME = "guide_loans"
SPAN = {"tz": "Europe/Berlin", "first": "2026-01-15T00:00:00Z", "last": "2026-03-15T00:00:00Z"}


def renamed(code: str) -> str:
    """Return the page's code with a package, a table, paths and a class that no project has."""
    code = re.sub(r'(app\.|__tablename__ = "|prefix="/)loans\b', rf"\1{NAME}", code)
    return re.sub(r"\bLoan\b", "GuideLoan", code)


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    """Return the page's modules; their tables have their own metadata."""

    class GuideBase(Base):
        __abstract__ = True
        metadata = MetaData(naming_convention=Base.metadata.naming_convention)

    monkeypatch.setattr("keel.db.models.Base", GuideBase)
    made = []
    package = f"app.{NAME}"
    for name, code in ((package, ""), (f"{package}.models", MODELS), (f"{package}.statistics", STATISTICS)):
        module = ModuleType(name)
        monkeypatch.setitem(sys.modules, name, module)
        exec(compile(renamed(code), name, "exec"), vars(module))  # noqa: S102 - the project's own page
        made.append(module)
    return made[1], checked("statistics", made[2])


@pytest.fixture
async def served(modules: tuple[Any, Any], app: FastAPI, environment: None) -> AsyncIterator[AsyncClient]:
    """Return a client for an application with these modules and loans of two books."""
    models, statistics = modules
    other = create_app()
    statistics.install(other)
    metadata = models.GuideLoan.metadata
    async with running(other) as client:
        database = services_of(other).database
        async with database.writer.begin() as connection:
            await connection.run_sync(metadata.create_all)
        subject = await _subject(client, other)
        start = datetime(2026, 1, 31, 22, 30, tzinfo=UTC)
        async with database.transaction() as session:
            for number, days in enumerate((3, 5, 10)):
                moment = start + timedelta(hours=number)  # in Berlin, the second and third are in February
                book = "Emma" if number < 2 else "Sanditon"
                session.add(models.GuideLoan(owner_id=subject, book=book, lent_at=moment, days=days))
        yield client
        async with database.writer.begin() as connection:
            await connection.run_sync(metadata.drop_all)


async def _subject(client: AsyncClient, app: FastAPI) -> str:
    """Return the subject of the client's caller."""
    from keel.identity import CallerDep

    @app.get("/subject")
    async def subject(caller: CallerDep) -> str:
        return caller.subject

    return (await client.get("/subject")).json()


async def test_both_responses(served: AsyncClient) -> None:
    """Months follow the time zone and include empty ones; a DataFrame can be returned, with null for NaN."""
    answer = await served.get(f"/api/v1/{NAME}/statistics", params=SPAN)
    as_csv = await served.get(f"/api/v1/{NAME}/statistics", params=SPAN, headers={"Accept": "text/csv"})
    books = await served.get(f"/api/v1/{NAME}/statistics/books")

    assert answer.json() == [
        {"month": "2026-01-01", "loans": 1, "mean_days": 3.0},
        {"month": "2026-02-01", "loans": 2, "mean_days": 7.5},
        {"month": "2026-03-01", "loans": 0, "mean_days": None},
    ]
    assert as_csv.text.splitlines()[1:] == ["2026-01-01,1,3", "2026-02-01,2,7.5", "2026-03-01,0,"]
    assert books.json() == [
        {"book": "Emma", "loans": 2, "std": pytest.approx(2**0.5)},
        {"book": "Sanditon", "loans": 1, "std": None},
    ]
