"""Projects of other generators, with the features needed for the same work, prepared as their README says."""

import os
import subprocess
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.project import clean_environment
from benchmarks.routes import Routes
from benchmarks.servers import Contender
from benchmarks.settings import SECRET
from benchmarks.stores import MakeDatabase, Prepare

NAME = "harbour_log"


@dataclass(frozen=True)
class Peer:
    """A generator, its options, and the routes to measure."""

    name: str
    release: str
    generate: Sequence[str]
    folder: str
    target: str
    routes: Routes
    settings: Callable[[str], dict[str, str]]
    """Settings for a database URL."""


@dataclass(frozen=True)
class InstalledPeer:
    """A peer's generated and installed project."""

    peer: Peer
    path: Path

    @property
    def contender(self) -> Contender:
        """Return the project as a contender without a database."""
        python = self.path / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        peer = self.peer
        return Contender(
            f"{peer.name} {peer.release}",
            python,
            self.path,
            peer.target,
            {},
            signs_in=True,
            routes=peer.routes,
            may_fail=True,
        )

    def translated(self, make: MakeDatabase) -> MakeDatabase:
        """Wrap a database factory so that it returns settings in the peer's format."""

        @contextmanager
        def translating(name: str, prepare: Prepare, *, table: str = "") -> Generator[dict[str, str]]:
            def settings(store: dict[str, str]) -> dict[str, str]:
                return self.peer.settings(store["DATABASE_URL"])

            with make(name, lambda store: prepare(settings(store)), table=table) as store:
                yield settings(store)

        return translating

    def prepare(self, env: dict[str, str], *, account: bool) -> None:
        """Create the tables; the account is registered over HTTP."""
        del account
        command = [self.contender.python, "-m", "alembic", "upgrade", "head"]
        done = subprocess.run(
            command, cwd=self.path, env=clean_environment() | env, check=False, capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(f"{self.peer.name} could not migrate:\n{done.stderr[-4000:]}")


def _template_settings(url: str) -> dict[str, str]:
    parts = urlsplit(url)
    return {
        "HARBOUR_LOG_ENVIRONMENT": "prod",
        "HARBOUR_LOG_RELOAD": "False",
        "HARBOUR_LOG_DB_HOST": parts.hostname or "",
        "HARBOUR_LOG_DB_PORT": str(parts.port or 5432),
        "HARBOUR_LOG_DB_USER": parts.username or "",
        "HARBOUR_LOG_DB_PASS": parts.password or "",
        "HARBOUR_LOG_DB_BASE": parts.path[1:],
        "USERS_SECRET": SECRET,
    }


def _fullstack_settings(url: str) -> dict[str, str]:
    parts = urlsplit(url)
    return {
        "ENVIRONMENT": "local",
        "DEBUG": "false",
        "POSTGRES_HOST": parts.hostname or "",
        "POSTGRES_PORT": str(parts.port or 5432),
        "POSTGRES_USER": parts.username or "",
        "POSTGRES_PASSWORD": parts.password or "",
        "POSTGRES_DB": parts.path[1:],
        "SECRET_KEY": SECRET,
        "API_KEY": SECRET,
    }


PEERS = {
    # Its example has no route for a single row and no owners: the caller's account is read instead.
    "fastapi-template": Peer(
        "fastapi-template",
        "6.1.2",
        [
            *("fastapi_template", "--quiet", "--name", NAME, "--api-type", "rest", "--db", "postgresql"),
            *("--orm", "sqlalchemy", "--ci", "github", "--migrations", "--dummy", "--routers", "--add_users"),
            *("--jwt-auth", "--cookie-auth", "--swagger", "--redis", "--loguru", "--gunicorn"),
        ],
        NAME,
        f"{NAME}.web.application:get_app",
        Routes(
            health="/api/health",
            one="/api/users/me",
            page="/api/dummy/?limit=20",
            rows="/api/dummy/",
            method="PUT",
            row='{"name": "A note of middling length"}',
            sign_in="/api/auth/jwt/login",
            register="/api/auth/register",
            renews=False,
            table="dummy_model",
        ),
        _template_settings,
    ),
    # Its only rows with an owner are conversations.
    "fastapi-fullstack": Peer(
        "fastapi-fullstack",
        "0.2.21",
        [
            *("fastapi-fullstack", "create", NAME, "--database", "postgresql", "--redis", "--rate-limiting"),
            *("--caching", "--ai-framework", "pydantic_ai", "--llm-provider", "openai", "--no-logfire"),
        ],
        f"{NAME}/backend",
        "app.main:app",
        Routes(
            health="/api/v1/health",
            one="/api/v1/conversations/{id}",
            page="/api/v1/conversations?limit=20",
            rows="/api/v1/conversations",
            row='{"title": "A note of middling length"}',
            sign_in="/api/v1/auth/login",
            register="/api/v1/auth/register",
            renews=False,
            table="conversations",
        ),
        _fullstack_settings,
    ),
}


def install(peer: Peer, folder: Path, python: str) -> InstalledPeer:
    """Run a generator, and install its project for production with a given Python."""
    place = folder / f"peer-{peer.name}"
    place.mkdir()
    tool, *options = peer.generate
    env = clean_environment() | ({"UV_PYTHON": python} if python else {})
    generate = ["uv", "tool", "run", "--quiet", "--from", f"{peer.name}=={peer.release}", tool, *options]
    log = place / "log"
    with log.open("wb") as output:
        for command, where in (
            (generate, place),
            (["uv", "sync", "--quiet", "--no-dev", "--compile-bytecode"], place / peer.folder),
        ):
            done = subprocess.run(
                command,
                cwd=where,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                check=False,
            )
            if done.returncode:
                raise RuntimeError(f"{command} failed:\n{log.read_text(errors='replace')[-4000:]}")
    return InstalledPeer(peer, place / peer.folder)
