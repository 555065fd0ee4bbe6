"""Notes imported from a CSV file."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient, Response
from sqlalchemy import func, select, update

from app.examples.notes import plugin
from app.examples.notes.imports import models, rows, service
from app.examples.notes.imports.csv_records import MAX_RECORD, CsvError, CsvRecords
from app.examples.notes.imports.job import ImportJob
from app.main import create_app
from keel.caller import Caller
from keel.clock import now
from keel.db.database import Database, Session
from keel.identity import current_caller
from keel.services import services_of
from keel.testing.identity import sign_in
from keel.testing.support import PATIENCE, running
from keel.web.rate_limit import InProcessStorage
from tests.examples.notes.api import NOTES, titles

IMPORT = f"{NOTES}/import"
CSV = {"Content-Type": "text/csv"}


@pytest.fixture(autouse=True)
def uncounted(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each test upload as much as one caller may."""
    monkeypatch.setattr(services_of(app).rate_limit, "storage", InProcessStorage())


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Store two rows at a time."""
    monkeypatch.setattr(service, "PIECE_ROWS", 2)


@pytest.fixture
def lost_jobs(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Lose every job, as a process that is killed loses its own; undone, they are not lost any more."""

    async def lose(session: Session, name: str, payload: Mapping[str, Any]) -> None:
        pass

    with monkeypatch.context() as patch:
        patch.setattr(services_of(app).jobs, "enqueue", lose)
        yield patch


async def upload(client: AsyncClient, *lines: str, **query: Any) -> Response:
    """Upload a file whose first row is the usual one."""
    content = "".join(f"{line}\n" for line in ("title,body,tags", *lines)).encode()
    return await client.post(IMPORT, content=content, headers=CSV, params=query)


async def started(client: AsyncClient, *lines: str, **query: Any) -> str:
    """Upload a file; return where its progress is told."""
    answer = await upload(client, *lines, **query)
    assert answer.status_code == 202, answer.text
    return answer.headers["Location"]


async def progress(client: AsyncClient, address: str) -> dict[str, Any]:
    """Return an import."""
    answer = await client.get(address)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def done(client: AsyncClient, address: str) -> dict[str, Any]:
    """Return an import once it is done."""
    async with asyncio.timeout(PATIENCE):
        while (found := await progress(client, address))["state"] != "done":
            await asyncio.sleep(0.01)
    return found


async def count(database: Database, model: Any) -> int:
    """Return how many rows a table has."""
    return await database.read.scalar(select(func.count()).select_from(model))


async def make_idle(database: Database) -> None:
    """Let the last progress of each import be long ago."""
    async with database.transaction() as session:
        await session.execute(update(models.NoteImport).values(updated_at=now() - 2 * service.STALLED))


@pytest.mark.usefixtures("small_pieces")
async def test_rows_become_notes(client: AsyncClient, database: Database) -> None:
    """All rows, chunk by chunk, with their tags; no pending rows remain."""
    lines = [f"Note {number},Body {number},even; {number}" for number in range(5)]

    found = await done(client, await started(client, *lines))

    assert {name: found[name] for name in ("rows", "rows_done", "rows_refused", "refusals")} == {
        "rows": 5,
        "rows_done": 5,
        "rows_refused": 0,
        "refusals": [],
    }
    notes = (await client.get(NOTES, params={"sort": "title"})).json()["items"]
    assert [(note["title"], note["body"], note["tags"]) for note in notes] == [
        (f"Note {number}", f"Body {number}", [str(number), "even"]) for number in range(5)
    ]
    assert await count(database, models.ImportPiece) == 0


async def test_new_notes_are_published(app: FastAPI, client: AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is an event for the owner's live streams."""
    told: list[tuple[str, str, str]] = []

    async def publish(topic: str, event: str, data: str) -> None:
        told.append((topic, event, json.loads(data)["title"]))

    monkeypatch.setattr(services_of(app).pubsub, "publish", publish)
    subject = await sign_in(client)
    await done(client, await started(client, "First,,", "Second,,"))
    await services_of(app).jobs.drain(patient=True)

    assert told == [(f"notes:{subject}", "created", title) for title in ("First", "Second")]


async def test_csv_dialects(client: AsyncClient) -> None:
    """A byte order mark, other column orders, quoted line breaks and quotes, no trailing line break."""
    content = '\ufeffBody,Title\r\n"two\r\nlines",First\r\n\r\n,"said ""so"""'.encode()
    answer = await client.post(IMPORT, content=content, headers={"Content-Type": "text/csv; charset=UTF-8"})

    await done(client, answer.headers["Location"])

    notes = (await client.get(NOTES, params={"sort": "title"})).json()["items"]
    assert [(note["title"], note["body"]) for note in notes] == [("First", "two\r\nlines"), ('said "so"', "")]


async def test_file_without_rows(client: AsyncClient) -> None:
    """The import is done at once."""
    assert (await done(client, await started(client)))["rows"] == 0


@pytest.mark.usefixtures("small_pieces")
async def test_invalid_rows(client: AsyncClient, database: Database) -> None:
    """The response lists their lines and columns, and nothing of the file is stored."""
    answer = await upload(client, "First,,", "Second,,", ",,", '"Third",two cells', f'"a\nb",,{"x" * 51}')

    assert answer.status_code == 422
    problem = answer.json()
    assert problem["type"] == "urn:problem:note-file-not-valid"
    assert [error["location"] for error in problem["errors"]] == [
        ["body", 4, "title"],
        ["body", 5],
        ["body", 6, "tags"],
    ]
    assert problem["error_count"] == 3
    assert await titles(client) == []
    assert await count(database, models.NoteImport) == await count(database, models.ImportPiece) == 0


async def test_partial_import(client: AsyncClient) -> None:
    """With `partial`, valid rows become notes; of the others, the first are listed and all are counted."""
    wrong = ["," for _ in range(service.MAX_FAULTS + 5)]

    found = await done(client, await started(client, "First,,", *wrong, "Last,,", partial=True))

    assert await titles(client, sort="title") == ["First", "Last"]
    assert (found["rows_done"], found["rows_refused"]) == (2, len(wrong))
    assert found["refusals"][0] == {"line": 3, "reason": "The row has 2 cells, not 3."}
    assert len(found["refusals"]) == service.MAX_FAULTS


@pytest.mark.parametrize("partial", [False, True])
@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", 1),
        (b"body\nx\n", 1),
        (b"title,title\nx,y\n", 1),
        (b"title,price\nx,1\n", 1),
        (b"title\nx\n\xff\n", 3),
        (b"title\nx\ny\xc3", 3),
        (b'title\nx\n"y\nz\n', 3),
        (b'title\nx\n"y"z\n', 3),
        (b'title\n"' + b"x" * (MAX_RECORD + 1), 2),
        (b"title\n" + b"x" * 200_000, 2),
        (b"title\n" + b"x\n" * 4, 5),
    ],
    ids=["empty", "no title", "twice", "unknown", "Latin-1", "cut", "open", "quotes", "endless", "long", "many"],
)
async def test_invalid_files(
    client: AsyncClient,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    *,
    content: bytes,
    line: int,
    partial: bool,
) -> None:
    """They are refused as a whole, with the first invalid line."""
    monkeypatch.setattr(rows, "MAX_ROWS", 3)

    answer = await client.post(IMPORT, content=content, headers=CSV, params={"partial": partial})

    assert answer.status_code == 422, answer.text
    assert [error["location"] for error in answer.json()["errors"]] == [["body", line]]
    assert await count(database, models.NoteImport) == 0


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "text/csv; charset=latin-1"])
async def test_unsupported_media_type(client: AsyncClient, kind: str) -> None:
    """Anything but CSV in UTF-8 is refused by its media type."""
    answer = await client.post(IMPORT, content=b"[]", headers={"Content-Type": kind})

    assert (answer.status_code, answer.json()["type"]) == (415, "urn:problem:not-csv")


@pytest.mark.parametrize("told", [True, False])
async def test_file_size_limit(client: AsyncClient, database: Database, *, told: bool) -> None:
    """It is larger than for other bodies, and holds whether or not the length is declared."""
    row = b"Note," + b"x" * 94_995

    async def pieces(number: int) -> AsyncIterator[bytes]:
        yield b"title,body\n"
        for _ in range(number):
            yield row + b"\n"

    async def send(number: int) -> Response:
        content = b"".join([each async for each in pieces(number)]) if told else pieces(number)
        return await client.post(IMPORT, content=content, headers=CSV)

    allowed, refused = await send(20), await send(106)

    assert allowed.status_code == 202
    assert refused.status_code == 413
    await done(client, allowed.headers["Location"])
    assert await count(database, models.NoteImport) == 1


async def test_uploads_are_limited(client: AsyncClient) -> None:
    """A caller may upload ten files per minute; other requests are not counted."""
    answers = [(await upload(client, ",,")).status_code for _ in range(11)]

    assert answers == [422] * 10 + [429]
    assert (await client.get(NOTES)).status_code == 200


async def test_uploads_are_streamed(app: FastAPI, database: Database) -> None:
    """At most a chunk and a record are kept in memory, however large the file is."""
    stored: list[int] = []

    async def file() -> AsyncIterator[bytes]:
        yield b"title,body\n"
        for _ in range(6):
            yield b"Note," + b"x" * 50_000 + b"\n"
            stored.append(await count(database, models.ImportPiece))

    await service.ImportService(services_of(app), Caller("ada")).start(file(), partial=False)

    assert stored == [0, 1, 1, 2, 2, 3]


def test_records_are_not_kept() -> None:
    """Memory of parsed records is freed, even after a misplaced quote."""
    records = CsvRecords()
    for number in range(1000):
        assert [*records.feed(b'a,"b\n')] == []
        assert [*records.feed(b'c"\n"d')] == [(3 * number + 1, ["a", "b\nc"])]
        assert [*records.feed(b'"\n')] == [(3 * number + 3, ["d"])]
        assert records._rest == ""

    with pytest.raises(CsvError, match="line 3001"):
        [*records.feed(b'"' + b"x" * MAX_RECORD)]


async def test_interrupted_upload(app: FastAPI, database: Database) -> None:
    """Nothing of it is stored."""

    async def file() -> AsyncIterator[bytes]:
        yield b"title\nFirst\n"
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await service.ImportService(services_of(app), Caller("ada")).start(file(), partial=False)

    assert await count(database, models.NoteImport) == 0


async def test_import_deleted_during_its_upload(app: FastAPI, database: Database) -> None:
    """The upload ends with an error that says so."""

    async def file() -> AsyncIterator[bytes]:
        yield b"title\nFirst\n"
        async with database.transaction() as session:
            await session.delete((await session.scalars(select(models.NoteImport))).one())

    with pytest.raises(service.ImportNotFound):
        await service.ImportService(services_of(app), Caller("ada")).start(file(), partial=False)


async def test_imports_of_others(app: FastAPI, client: AsyncClient) -> None:
    """Other callers can't see them."""
    address = await started(client, "Mine,,")
    await done(client, address)
    app.dependency_overrides[current_caller] = lambda: Caller("stranger")

    answer = await client.get(address)

    assert (answer.status_code, answer.json()["type"]) == (404, "urn:problem:note-import-not-found")


@pytest.mark.usefixtures("small_pieces")
async def test_stalled_import_is_resumed(
    app: FastAPI, client: AsyncClient, database: Database, lost_jobs: pytest.MonkeyPatch
) -> None:
    """An import without progress is reported as stalled, and the scheduled job resumes it."""
    address = await started(client, *(f"Note {number},," for number in range(5)))
    assert (await progress(client, address))["state"] == "running"
    await make_idle(database)
    assert (await progress(client, address))["state"] == "stalled"

    lost_jobs.undo()
    services = services_of(app)
    async with database.transaction() as session:
        await services.jobs.enqueue(session, services.schedule.entries["stalled imports of notes"].job, {})

    assert (await done(client, address))["rows_done"] == 5


async def test_active_imports_are_not_resumed(
    app: FastAPI, client: AsyncClient, database: Database, lost_jobs: pytest.MonkeyPatch
) -> None:
    """The scheduled job ignores imports that make progress, or are done."""
    await started(client, "Note,,")
    lost_jobs.undo()
    async with database.transaction() as session:
        await ImportJob(services_of(app)).resume_stalled(session, {})
    await services_of(app).jobs.drain(patient=True)

    assert await titles(client) == []


@pytest.mark.usefixtures("small_pieces")
async def test_restart(client: AsyncClient, lost_jobs: pytest.MonkeyPatch) -> None:
    """A starting process resumes its predecessor's imports at once, and repeats nothing."""
    address = await started(client, *(f"Note {number},," for number in range(5)))
    lost_jobs.undo()

    async with running(create_app(), signed_in=False):
        await done(client, address)

    assert await titles(client, sort="title") == [f"Note {number}" for number in range(5)]


@pytest.mark.usefixtures("small_pieces", "lost_jobs")
async def test_concurrent_transactions(app: FastAPI, client: AsyncClient, database: Database) -> None:
    """The second skips the import, or waits and imports the next chunk, depending on the database's locks."""
    address = await started(client, *(f"Note {number},," for number in range(5)))
    job, payload = ImportJob(services_of(app)), {"id": address.rpartition("/")[2]}

    async def run() -> None:
        async with database.transaction() as session:
            await job.run(session, payload)

    async with database.transaction() as session:
        await job.run(session, payload)
        second = asyncio.create_task(run())
        await asyncio.wait({second}, timeout=0.2)
    await second

    found = await progress(client, address)
    assert found["state"] == "running"
    assert found["rows_done"] in {2, 4}
    assert await titles(client, sort="title") == [f"Note {number}" for number in range(found["rows_done"])]


@pytest.mark.usefixtures("small_pieces")
async def test_concurrent_processes(
    app: FastAPI, client: AsyncClient, database: Database, lost_jobs: pytest.MonkeyPatch
) -> None:
    """Each row becomes one note, even if a running import is resumed."""
    address = await started(client, *(f"Note {number},," for number in range(9)))
    import_id = address.rpartition("/")[2]
    lost_jobs.undo()
    services = services_of(app)
    async with database.transaction() as session:
        for _ in range(3):
            await services.jobs.enqueue(session, service.JOB, {"id": import_id})

    await done(client, address)
    await services.jobs.drain(patient=True)

    assert await titles(client, sort="title") == [f"Note {number}" for number in range(9)]


@pytest.mark.usefixtures("small_pieces")
async def test_failing_chunk(app: FastAPI, client: AsyncClient, database: Database, lost_jobs: object) -> None:
    """Nothing of it is stored, and the next attempt imports all of it."""
    subject = await sign_in(client)
    address = await started(client, "First,,", "Second,,")
    job, payload = ImportJob(services_of(app)), {"id": address.rpartition("/")[2]}
    with pytest.raises(ConnectionError):
        async with database.transaction() as session:
            await job.run(session, payload)
            raise ConnectionError
    assert (await progress(client, address))["rows_done"] == 0

    async with database.transaction() as session:
        await job.run(session, payload)

    assert (await progress(client, address))["state"] == "done"
    assert await titles(client, sort="title") == ["First", "Second"]
    assert await database.read.scalar(select(models.NoteImport.owner_id)) == subject


async def test_retention(app: FastAPI, client: AsyncClient, database: Database) -> None:
    """Imports are deleted after a week, unfinished uploads after a day, and notes never."""
    await done(client, await started(client, "Note,,"))
    services, state, ages = services_of(app), models.ImportState, []
    for age, before in (
        (timedelta(days=2), state.DONE),
        (timedelta(days=2), state.UPLOADING),
        (plugin.KEPT, state.DONE),
    ):
        async with database.transaction() as session:
            values = {"created_at": now() - age, "state": before}
            await session.execute(update(models.NoteImport).values(values))
        ages.append((await services.retention.run(database))["imports of notes"])
        if ages[-1]:
            await done(client, await started(client, "Note,,"))

    assert ages == [0, 1, 1]
    assert await titles(client) == ["Note"] * 3


async def test_openapi_document(client: AsyncClient) -> None:
    """The body is CSV, with its own size limit."""
    operation = (await client.get("/openapi.json")).json()["paths"][IMPORT]["post"]

    assert operation["operationId"] == "notes-import_notes"
    assert [*operation["requestBody"]["content"]] == ["text/csv"]
    assert "10000000" in operation["responses"]["413"]["$ref"]
