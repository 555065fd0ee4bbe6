"""Clients generated with the page's commands compile strictly, and work with the page's code."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.machinery import selection
from tests.machinery.databases import empty_database
from tests.machinery.rendering import ROOT, render
from tests.machinery.serving import Isolated
from tests.machinery.shell import Shell, blocks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.machinery.resources import Resources

_DATA = ROOT / "tests" / "data"
_FILE = re.compile(r"^```(?:ts|python|yaml)\n(?://|#) (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_UNREACHABLE = re.compile(r"ENOTFOUND|EAI_AGAIN|ECONN|ETIMEDOUT|ENETUNREACH")
EMAIL, PASSWORD = "owner@example.com", "correct horse battery staple"
TSC = (
    "npx tsc --strict --target es2022 --module commonjs --rootDir src --outDir dist $(find src -name '*.ts')"
)
#: What npm would only say, ask or keep.
NPM = {
    "npm_config_audit": "false",
    "npm_config_fund": "false",
    "npm_config_package_lock": "false",
    "npm_config_prefer_offline": "true",
    "npm_config_update_notifier": "false",
}


class Page:
    """The page of a project: its commands, and the files that it shows."""

    def __init__(self, project: Path) -> None:
        """Read it."""
        text = (project / "keel" / "docs" / "clients.md").read_text(encoding="utf-8")
        self.export, self.types, self.sdk, self.python = blocks(text)
        self.files = dict(_FILE.findall(text))

    def write(self, directory: Path, suffix: str) -> None:
        """Write the files in one language."""
        for name, text in self.files.items():
            if name.endswith(suffix):
                (directory / name).parent.mkdir(exist_ok=True)
                (directory / name).write_text(text, encoding="utf-8")


@pytest.fixture(scope="module", autouse=True)
def node() -> None:
    """Node and npm; without them, or with an old Node, these tests are skipped."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("Node and npm are not installed (apt-get install nodejs npm)")
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    if tuple(map(int, version.strip("v\n").split(".")[:2])) < (20, 19):
        pytest.skip(f"Node {version.strip()} is older than 20.19")


@pytest.fixture
def isolated(resources: Resources, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Isolated]:
    """A project with what the test asks for, and a database of its own."""
    project = render(resources.template, tmp_path / "project", request.param)
    if not request.param["example"]:
        shutil.copytree(_DATA / "book" / "app", project / "app", dirs_exist_ok=True)
    # What the project depends on is examined elsewhere.
    shared = {"UV_PROJECT_ENVIRONMENT": str(Path(resources.python).parents[1]), "UV_NO_SYNC": "1"}
    with empty_database("sqlite", None, tmp_path) as url:
        yield Isolated(project, {"ENVIRONMENT": "local", "DATABASE_URL": url, "RATE_LIMIT": "", **shared})


@pytest.fixture
def page(isolated: Isolated, tmp_path: Path) -> Page:
    """The page, and the document that its first command has written."""
    page = Page(isolated.project)
    Shell(isolated.project, tmp_path / "tools", isolated.environment).must(page.export)
    return page


ANSWERS: dict[str, Any] = {"preset": "api", "database": "sqlite", "example": True}


@pytest.mark.parametrize("isolated", [ANSWERS], indirect=True, ids=["api"])
def test_clients_work(isolated: Isolated, page: Page, tmp_path: Path) -> None:
    """Both TypeScript clients and the Python one sign in, create once, page, and handle 422 and 412 over a socket."""
    frontend = typescript(page, isolated.project, tmp_path)
    shutil.copyfile(_DATA / "clients" / "main.ts", frontend.directory / "src" / "main.ts")
    backend = python(page, isolated.project, tmp_path)
    shutil.copyfile(_DATA / "clients" / "use.py", backend.directory / "use.py")
    frontend.must(TSC)
    check_types(backend)
    isolated.must("run", "python", "-m", "app", "migrate")
    for email in (f"ts-{EMAIL}", f"py-{EMAIL}"):
        isolated.must("run", "python", "-m", "app", "auth", "create-admin", email, "--password", PASSWORD)

    command = ("uvicorn", "app.main:app", "--host", "127.0.0.1", "--port", "{port}")
    with isolated.served(*command) as (address, _):
        in_typescript = frontend.must(f"node dist/main.js {address} ts-{EMAIL} '{PASSWORD}'")
        in_python = backend.must(f"uv run python use.py {address} py-{EMAIL} '{PASSWORD}'")

    assert json.loads(in_typescript) == {
        "sameNote": True,
        "listed": ["Anchor", "Buoy", "Tide"],
        "titles": ["Anchor", "Buoy", "Tide"],
        "wrongPassword": "The address or the password is wrong.",
        "reused": "This was sent before, with other content.",
        "invalid": "body.title: String should have at least 1 character",
        "renamed": 2,
        "stale": None,
        "heard": ["created"],
        "imported": True,
    }
    assert json.loads(in_python.splitlines()[-1]) == {
        "same_note": True,
        "listed": ["Anchor", "Buoy", "Tides"],
        "wrong_password": "The address or the password is wrong.",
        "reused": "This key was used for another request; send a new one.",
        "invalid": "body.title: String should have at least 1 character",
        "renamed": 2,
        "stale": None,
        "imported": True,
    }


OTHERS = {
    "without-auth": {**ANSWERS, "preset": "minimal"},
    "without-example": {**ANSWERS, "example": False},
    "with-neither": {**ANSWERS, "preset": "minimal", "example": False},
    "everything": {**ANSWERS, "preset": "everything"},
}


@pytest.mark.parametrize("isolated", OTHERS.values(), indirect=True, ids=OTHERS)
def test_clients_compile(
    isolated: Isolated, page: Page, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """So do those of other projects, with their page's code; without notes it uses the guide's books."""
    if not selection.is_full(request.config):
        pytest.skip("compiled with --full only: it takes half a minute each")
    typescript(page, isolated.project, tmp_path).must(TSC)
    check_types(python(page, isolated.project, tmp_path))


def test_versions_are_pinned() -> None:
    """Each npm package on the page has the version that these tests use."""
    text = (ROOT / "template" / "keel" / "docs" / "clients.md.jinja").read_text(encoding="utf-8")
    packages = [
        word for line in re.findall(r"^npm install (.*)$", text, re.MULTILINE) for word in line.split()
    ]
    named = [word for word in packages if not word.startswith("-")]
    assert named
    assert [word for word in named if not re.search(r".@\d+\.\d+\.\d+$", word)] == []


def typescript(page: Page, project: Path, scratch: Path) -> Shell:
    """A frontend with both clients and the page's code."""
    shell = begin(project, scratch / "frontend")
    (shell.directory / "package.json").write_text('{"private": true}', encoding="utf-8")
    status, output = shell.run(page.types)
    if status != 0 and _UNREACHABLE.search(output):
        pytest.skip("npm's registry can't be reached")
    assert status == 0, output
    shell.must(page.sdk)
    page.write(shell.directory, ".ts")
    return shell


def python(page: Page, project: Path, scratch: Path) -> Shell:
    """A project with the Python client and the page's code."""
    shell = begin(project, scratch / "backend")
    shell.must("uv init --quiet --bare --python " + sys.executable)
    page.write(shell.directory, ".yml")
    page.write(shell.directory, ".py")
    shell.must(page.python)
    return shell


def begin(project: Path, directory: Path) -> Shell:
    """A terminal in a directory that has the project's document."""
    directory.mkdir()
    shutil.copyfile(project / "openapi.json", directory / "openapi.json")
    return Shell(directory, directory.with_suffix(".tools"), NPM)


def check_types(shell: Shell) -> None:
    """Check the types of a Python client and of the code that uses it."""
    ty = Path(sys.executable).parent / "ty"
    # What is left out is the same for every document, and has faults of its own.
    shell.must(f"{ty} check --output-format concise --python .venv --exclude api_client/client.py .")
