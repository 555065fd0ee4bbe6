"""What real owners do to their project between two updates. Everything here must survive every update."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from tests.machinery.checkout import insert, insert_before, replace
from tests.machinery.rendering import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.machinery.serving import Isolated

#: Small packages without dependencies, one that sorts before Keel's own and one that sorts after.
PACKAGES = ("aiofiles", "xmltodict")
DEVELOPMENT = "iniconfig"
#: Tables with rows in them: the owner's own, and one of Keel's.
TABLES = ("ships", "notes", "note_tags")
_DATA = ROOT / "tests" / "data" / "owner"

_LENGTH = '''

@router.get("/{note_id}/length", responses=NOT_FOUND)
async def measure_note(note_id: UUID, notes: NotesReadDep) -> int:
    """Count the letters of a note."""
    return len((await notes.get(note_id)).body)
'''
_LENGTH_TEST = '''

async def test_a_note_is_measured(client: AsyncClient) -> None:
    """The owner's own operation on notes."""
    note = await create(client, body="Ahoy")

    assert (await client.get(f"{NOTES}/{note['id']}/length")).json() == 4
'''
_ROUTER = '    app.add_middleware(FlagMiddleware)\n    app.include_router(tide, prefix="/api/v1")\n'
#: An edit inside the platform: allowed, and merged.
_PLATFORM = "keel/messaging/cache.py"
_CACHE = ("max_bytes: int = 16 * 1024 * 1024", "max_bytes: int = 32 * 1024 * 1024")
_VARIABLE = "    SHIPS_GREETING: Ahoy\n"
_OVERLAY = "deploy/k8s/overlays/production/settings.env"
_GREETING = "SHIPS_GREETING=Ahoy\n"
_SERVICE = """
  chart:
    image: nginx:1.29
    volumes:
      - charts:/usr/share/nginx/html
"""
_DOTENV = """\
# Ours
DATABASE_URL={url}
READINESS_TIMEOUT=3.5
SHIPS_GREETING="Ahoy there"
"""


def edit(isolated: Isolated) -> None:
    """Make every edit: files of their own, and changes inside Keel's."""
    project = isolated.project
    shutil.copytree(_DATA, project, dirs_exist_ok=True)
    main = project / "app" / "main.py"
    tide = "from app.flag import FlagMiddleware\nfrom app.tide import router as tide\n"
    insert_before(main, "from keel.application import", tide)
    insert(main, "    # Your own middleware, and routers that belong to no package, go here.", _ROUTER)
    replace(project / _PLATFORM, *_CACHE)
    if has_example(project):
        edit_example(project)
    compose = project / "compose.yaml"
    insert(compose, "  # Your own volumes go below this line.", "  charts:\n")
    insert(compose, "    # Your own variables go below this line.", _VARIABLE)
    _append(compose, _SERVICE)
    if (overlay := project / _OVERLAY).is_file():
        _append(overlay, _GREETING)
    isolated.must("add", "--quiet", "--no-sync", *PACKAGES)
    isolated.must("add", "--quiet", "--no-sync", "--dev", DEVELOPMENT)


def has_example(project: Path) -> bool:
    """Whether the project has the example, by its answers."""
    return "\nexample: true\n" in (project / ".copier-answers.yml").read_text(encoding="utf-8")


def edit_example(project: Path) -> None:
    """Make the edits of files of the example."""
    notes = project / "app" / "examples" / "notes"
    replace(notes / "repository.py", "MAX_WORDS = 8", "MAX_WORDS = 12")
    _append(notes / "router.py", _LENGTH)
    _append(project / "tests" / "examples" / "notes" / "test_router.py", _LENGTH_TEST)


def configure(isolated: Isolated, url: str) -> None:
    """Fill in `.env`: from here on the project's commands find the database by it."""
    (isolated.project / ".env").write_text(_DOTENV.format(url=url), encoding="utf-8")


def migrate(isolated: Isolated) -> None:
    """Add the own table by a migration of its own, written by the real command, and put rows into every table."""
    isolated.must("run", "python", "-m", "app", "migrate")
    isolated.must("run", "alembic", "revision", "--autogenerate", "--message", "ships")
    (written,) = (isolated.project / "migrations" / "versions").glob("*_ships.py")
    assert '"ships"' in written.read_text(encoding="utf-8")
    isolated.must("run", "python", "-m", "app", "migrate")
    isolated.must("run", "python", "-m", "app", "seed", "--count", "3")


def squash(isolated: Isolated, empty: str) -> None:
    """Replace Keel's first migration, and all that followed, by one of the owner's, as Alembic's manual says."""
    versions = isolated.project / "migrations" / "versions"
    for path in versions.glob("*.py"):
        path.unlink()
    new = ("revision", "--autogenerate", "--message", "squashed", "--rev-id", "harbour")
    isolated.must("run", "alembic", *new, DATABASE_URL=empty)
    isolated.must("run", "alembic", "stamp", "--purge", "head")


def survived(project: Path, *, example: bool | None = None) -> list[str]:
    """Which edits are missing; those of the example if it is there, unless told otherwise."""
    expected = {
        "app/main.py": (
            "from app.flag import",
            "from app.tide import",
            _ROUTER,
        ),
        "compose.yaml": ("  charts:\n", _VARIABLE, _SERVICE),
        _PLATFORM: _CACHE[1:],
        "pyproject.toml": tuple(f'    "{package}>=' for package in (*PACKAGES, DEVELOPMENT)),
    }
    if has_example(project) if example is None else example:
        expected |= {
            "app/examples/notes/repository.py": ("MAX_WORDS = 12",),
            "app/examples/notes/router.py": (_LENGTH,),
            "tests/examples/notes/test_router.py": (_LENGTH_TEST,),
        }
    own = {path.relative_to(_DATA).as_posix(): path for path in _DATA.rglob("*") if path.is_file()}
    missing = [name for name, path in own.items() if not _same(project / name, path)]
    for name, parts in expected.items():
        text = (project / name).read_text(encoding="utf-8")
        missing += [f"{name}: {part.strip()}" for part in parts if text.count(part) != 1]
    return missing + _unlike_theirs(project)


def _unlike_theirs(project: Path) -> list[str]:
    """What is wrong with the owner's after the first copy, where the project has them."""
    wrong = []
    dotenv = project / ".env"
    if dotenv.exists() and "\nSHIPS_GREETING=" not in dotenv.read_text(encoding="utf-8"):
        wrong.append(".env")
    overlay = project / _OVERLAY
    if overlay.exists() and not overlay.read_text(encoding="utf-8").endswith(_GREETING):
        wrong.append(_OVERLAY)
    versions = {path.name for path in (project / "migrations" / "versions").glob("*.py")}
    if any("harbour" in name for name in versions) and "0001_initial.py" in versions:
        wrong.append("migrations/versions/0001_initial.py came back")
    return wrong


def _same(one: Path, other: Path) -> bool:
    return one.is_file() and one.read_bytes() == other.read_bytes()


def _append(path: Path, text: str) -> None:
    path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")
