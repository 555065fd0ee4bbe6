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
_DATA = ROOT / "tests" / "data" / "owner"

_LENGTH = '''

@router.get("/{note_id}/length", responses=NOT_FOUND)
async def measure_note(note_id: UUID, notes: NotesReadDep) -> int:
    """Count the letters of a note."""
    return len((await notes.get(note_id)).body)
'''
_ROUTER = '    app.include_router(tide, prefix="/api/v1")\n'
_SERVICE = """
  chart:
    image: nginx:1.29
    volumes:
      - charts:/usr/share/nginx/html
"""


def edit(isolated: Isolated) -> None:
    """Make every edit: files of their own, and changes inside Keel's."""
    project = isolated.project
    shutil.copytree(_DATA, project, dirs_exist_ok=True)
    main = project / "app" / "main.py"
    insert_before(main, "from app.core.application import", "from app import ships\n")
    insert(main, "from app.features import FEATURES\n", "from app.tide import router as tide\n")
    replace(main, "(*FEATURES,)\n", "(*FEATURES, ships)\n")
    insert(main, "    # Your own middleware, and routers that belong to no package, go here.", _ROUTER)
    notes = project / "app" / "notes"
    replace(notes / "repository.py", "MAX_WORDS = 8", "MAX_WORDS = 12")
    _append(notes / "router.py", _LENGTH)
    compose = project / "compose.yaml"
    insert(compose, "  # Your own volumes go below this line.", "  charts:\n")
    _append(compose, _SERVICE)
    for package in PACKAGES:
        isolated.must("add", "--quiet", "--no-sync", package)
    isolated.must("add", "--quiet", "--no-sync", "--dev", "iniconfig")


def survived(project: Path) -> list[str]:
    """Which edits are missing."""
    expected = {
        "app/main.py": ("from app import ships\n", "from app.tide import", "(*FEATURES, ships)", _ROUTER),
        "app/notes/repository.py": ("MAX_WORDS = 12",),
        "app/notes/router.py": (_LENGTH,),
        "compose.yaml": ("  charts:\n", _SERVICE),
        "pyproject.toml": tuple(f'    "{package}>=' for package in PACKAGES),
    }
    own = {path.relative_to(_DATA).as_posix(): path for path in _DATA.rglob("*") if path.is_file()}
    missing = [name for name, path in own.items() if (project / name).read_bytes() != path.read_bytes()]
    for name, parts in expected.items():
        text = (project / name).read_text(encoding="utf-8")
        missing += [f"{name}: {part.strip()}" for part in parts if text.count(part) != 1]
    return missing


def _append(path: Path, text: str) -> None:
    path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")
