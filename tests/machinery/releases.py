"""Made-up releases of the template, with typical changes. The first one is the unchanged template."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.machinery.beacon import add_beacon, make_toggle
from tests.machinery.checkout import checkout, commit, insert_before, release, replace
from tests.machinery.rendering import ROOT, git, snapshot

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

#: The setting to rename, which is in the owner's `.env`, and its new name.
RENAMED = ("READINESS_TIMEOUT", "READINESS_SECONDS")
_NOTE = """
[[changes]]
version = "v1.2.0"
what = "The limit of a readiness check says that it is in seconds."
renamed = { READINESS_TIMEOUT = "READINESS_SECONDS" }
"""
_MIDDLEWARE = '''"""Middleware, pure ASGI: which version of the application answers."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from keel import about


class VersionMiddleware:
    """Adds the version to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.header = (b"x-version", about.VERSION.encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and add the header to what comes back."""

        async def send_with_version(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], self.header]
            await send(message)

        await self.app(scope, receive, send_with_version)
'''
_MIDDLEWARE_TEST = '''"""The version of the application in its answers."""

from httpx2 import AsyncClient

from keel import about


async def test_answers_tell_the_version(client: AsyncClient) -> None:
    """Every answer does."""
    assert (await client.get("/healthz")).headers["X-Version"] == about.VERSION
'''


def rename_a_file(repository: Path) -> None:
    """Rename a module of core, in every import too."""
    template = repository / "template"
    (template / "keel/web/conditional.py").rename(template / "keel/web/conditionals.py")
    _sed(template, r"\bkeel\.web\.conditional\b", "keel.web.conditionals")


def rename_a_setting(repository: Path) -> None:
    """Rename a setting, with an upgrade note."""
    old, new = RENAMED
    _sed(repository / "template", rf"\b{old}\b", new)
    _sed(repository / "template", rf"\b{old.lower()}\b", new.lower())
    notes = repository / "template/keel/upgrades.toml"
    notes.write_text(notes.read_text(encoding="utf-8") + _NOTE, encoding="utf-8")


def raise_a_floor(repository: Path) -> None:
    """Require a later version of a dependency."""
    path = repository / "template/pyproject.toml.jinja"
    replace(path, '"structlog>=26.1"', '"structlog>=26.1.0"')


def add_middleware(repository: Path) -> None:
    """Add a middleware to core, with a test."""
    core = repository / "template/keel"
    (core / "version.py").write_text(_MIDDLEWARE, encoding="utf-8")
    test = repository / "template/keel/tests/test_version.py"
    test.write_text(_MIDDLEWARE_TEST, encoding="utf-8")
    application = core / "application.py"
    before = "    chosen.append(Middleware(LivenessMiddleware"
    insert_before(application, before, "    chosen.append(Middleware(VersionMiddleware))\n")
    imported = "from keel.settings import CoreSettings\n"
    replace(application, imported, f"{imported}from keel.version import VersionMiddleware\n")


CHANGES: tuple[Callable[[Path], None], ...] = (
    rename_a_file,
    rename_a_setting,
    raise_a_floor,
    add_middleware,
    make_toggle,
)
TAGS = tuple(f"v1.{number}.0" for number in range(len(CHANGES) + 1))


def history(template: Path, destination: Path) -> Path:
    """Return a repository with one release per change, after a first one."""
    repository = checkout(template, destination, tag="v0.9.0")
    add_beacon(repository, always=True)
    release(repository, TAGS[0])
    for tag, change in zip(TAGS[1:], CHANGES, strict=True):
        change(repository)
        release(repository, tag)
    return repository


def real_tags() -> list[str]:
    """Return the template's own releases, oldest first."""
    return [tag for tag in git(ROOT, "tag", "--sort=v:refname").split() if re.match(r"v\d", tag)]


def real_history(destination: Path) -> Path:
    """Return a clone with the real releases, and the working tree as the next one."""
    git(ROOT, "clone", "--quiet", str(ROOT), str(destination))
    git(destination, "rm", "-r", "--quiet", "copier.yml", "template")
    snapshot(destination)
    git(destination, "add", "--all")
    if git(destination, "status", "--porcelain"):
        commit(destination, "The next release")
    git(destination, "tag", "v9999.0.0")
    return destination


def _sed(template: Path, pattern: str, replacement: str) -> None:
    found = 0
    for path in (path for path in template.rglob("*") if path.is_file()):
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
        changed, count = re.subn(pattern, replacement, text)
        if count:
            path.write_text(changed, encoding="utf-8", errors="surrogateescape")
            found += count
    if not found:
        raise ValueError(f"Nothing in the template matches {pattern}")
