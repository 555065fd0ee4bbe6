"""The image: the Dockerfile's real instructions, executed, and its roles run in containers, without an engine.

Not executed here: BuildKit (buildah does its work) and the registry's base images (a Debian with the same Python stands
in), limits of CPU and memory, a network of its own. `docs/deployment.md` has the list.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.machinery import selection
from tests.machinery.combinations import extremes
from tests.machinery.containers import Container, Containers, until
from tests.machinery.databases import empty_database
from tests.machinery.deployment import load
from tests.machinery.environment import uv
from tests.machinery.images import Builder, missing
from tests.machinery.questions import DATABASE, Questions
from tests.machinery.rendering import ROOT, render
from tests.machinery.serving import Isolated, free_port, request, sign_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.machinery.combinations import Combination
    from tests.machinery.resources import Resources

#: Run inside: who am I, what may I write to, what is there that belongs on a developer's machine, what is not compiled?
LOOK = """
import importlib.util, json, os
from pathlib import Path
folders = [name for name, _, _ in os.walk("/") if not name.startswith(("/proc", "/sys", "/dev"))]
sources = [path for place in ("/srv", "/opt/venv/lib") for path in Path(place).rglob("*.py")]
def stale(path):
    compiled = Path(importlib.util.cache_from_source(path))
    when = int.from_bytes(compiled.read_bytes()[8:12], "little") if compiled.exists() else None
    return when != int(path.stat().st_mtime)
def writable(name):
    try:
        Path(name, "probe").touch()
    except OSError:
        return False
    Path(name, "probe").unlink()
    return True
print(json.dumps({
    "user": os.getuid(),
    "first": os.getpid(),
    "writable": sorted(name for name in folders if writable(name)),
    "present": [name for name in ("pytest", "ruff", "hypothesis") if importlib.util.find_spec(name)]
    + sorted(set(os.listdir("/srv")) - {"app", "deploy", "migrations", "pyproject.toml", "uv.lock"}),
    "compiled": len(sources) > 1000 and sum(map(stale, sources)) < len(sources) / 100 and not any(
        stale(path) for path in Path("/srv/app").rglob("*.py")
    ),
}))
"""
QUESTIONS = Questions.load(ROOT / "copier.yml")
SMALLEST, *_, LARGEST, _, LARGEST_ON_A_SERVER = extremes(QUESTIONS)
CHOSEN = (SMALLEST, LARGEST, LARGEST_ON_A_SERVER)


@pytest.fixture(autouse=True, scope="module")
def _possible(request: pytest.FixtureRequest) -> None:
    if not selection.is_full(request.config):
        pytest.skip("runs with --full")
    if reason := missing():
        pytest.skip(reason)


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory, template: Path) -> Iterator[Builder]:
    """A builder that has the base images."""
    made = Builder(tmp_path_factory.mktemp("images"), Path(uv()))
    made.bases((template / "template" / "Dockerfile.jinja").read_text(encoding="utf-8"))
    yield made
    made.remove()


class Inside(Isolated):
    """A project whose commands run in a container: `uv run` is nothing there, the environment is the image's."""

    def __init__(self, project: Path, container: Container) -> None:
        """Take the project, and the container."""
        super().__init__(project)
        self._container = container

    def must(self, *command: str, timeout: float = 120, **variables: str) -> str:
        """Run a command in the container and expect success; what it printed."""
        assert command[0] == "run"
        assert not variables
        assert timeout
        result = self._container.execute(*command[1:])
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout


@pytest.mark.parametrize("chosen", CHOSEN, ids=[item.id for item in CHOSEN])
def test_an_image_serves(resources: Resources, builder: Builder, tmp_path: Path, chosen: Combination) -> None:
    """Built from the lock file, labelled, read-only for its user; one image migrates, serves, works and schedules."""
    project = render(
        resources.template, tmp_path / "project", {**chosen.answers, "description": 'Says "$HOME" \\ é'}
    )
    name = f"localhost/{chosen.id.replace('+', '-')}:1.2.3"
    with pytest.raises(AssertionError, match=r"Unable to find lockfile.*uv lock"):
        builder.build(project, name)
    Isolated(project).must("lock", "--quiet")
    image = builder.build(project, name, VERSION="1.2.3", REVISION="0123abc", SOURCE="https://example.com/a")
    assert {key.rpartition(".")[2]: value for key, value in image["Labels"].items() if ".image." in key} == {
        "title": "harbour-log",
        "description": 'Says "$HOME" \\ é',
        "version": "1.2.3",
        "revision": "0123abc",
        "source": "https://example.com/a",
    }
    database = str(chosen.answers[DATABASE])
    with builder.mounted(name) as root, empty_database(database, resources.server, tmp_path) as url:
        containers = Containers(tmp_path / "containers", root, image, tmp_path / "data")
        _is_closed(containers, image, database)
        variables = {"ENVIRONMENT": "local", "WEB_CONCURRENCY": "2"}
        if database == "postgresql":
            variables["DATABASE_URL"] = url
        if chosen.answers.get("redis"):
            assert resources.redis
            variables |= {"REDIS_URL": resources.redis, "REDIS_PREFIX": f"{tmp_path.name}:"}
        status, printed = containers.run("python", "-m", "app", "migrate", **variables)
        assert status == 0, printed
        _stops_in_the_middle(containers, variables)
        if chosen.answers.get("celery"):
            variables |= {"CELERY_BROKER_URL": resources.redis or "", "CELERY_QUEUE": tmp_path.name}
        _serves(containers, project, image, variables, works=bool(chosen.answers.get("celery")))
        if chosen.answers.get("grpc"):
            _serves_grpc(containers, variables)


def test_live_reload_may_write(resources: Resources, builder: Builder, tmp_path: Path) -> None:
    """The image of compose.dev.yaml lets its user write synchronised files."""
    project = render(resources.template, tmp_path / "project", SMALLEST.answers)
    Isolated(project).must("lock", "--quiet")
    override = load(project / "compose.dev.yaml")["services"]["api"]["build"]["args"]
    image = builder.build(project, "localhost/live-reload:dev", **override)
    with builder.mounted("localhost/live-reload:dev") as root:
        containers = Containers(tmp_path / "containers", root, image, tmp_path / "data", writable=True)
        status, printed = containers.run("python", "-c", LOOK)
        assert status == 0, printed
        assert {"/srv/app", "/srv/keel"} <= set(json.loads(printed)["writable"])


def _is_closed(containers: Containers, image: dict[str, Any], database: str) -> None:
    """Unconfigured it refuses to start; its user may write nowhere but to the volume and /tmp; all is compiled."""
    status, printed = containers.run(*image["Cmd"])
    assert status != 0, "an unconfigured image must not start"
    assert "set it when ENVIRONMENT=production" in printed
    status, printed = containers.run("python", "-c", LOOK)
    assert status == 0, printed
    assert json.loads(printed) == {
        "user": 10001,
        "first": 1,
        "writable": ["/data", "/tmp"] if database == "sqlite" else ["/tmp"],  # noqa: S108 - inside
        "present": [],
        "compiled": True,
    }


def _stops_in_the_middle(containers: Containers, variables: dict[str, str]) -> None:
    """A command that is the first process hears SIGTERM, whose default action the kernel keeps from it."""
    with containers.started("python", "-m", "app", "seed", "--count", "1000000", **variables) as seeding:
        until(seeding, lambda: "Will assume transactional DDL" in seeding.log)
        assert seeding.stop() == 128 + 15, seeding.log


def _serves(
    containers: Containers, project: Path, image: dict[str, Any], variables: dict[str, str], *, works: bool
) -> None:
    """The server keeps a note, worker and beat do a task, and each stops with success when told to."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    with containers.started(*image["Cmd"], PORT=str(port), **variables) as server:
        until(server, lambda: _answers(address))
        healthy = server.execute(*image["Healthcheck"]["Test"][1:])
        assert healthy.returncode == 0, healthy.stderr
        caller = sign_in(Inside(project, server), address)
        status, note = request("POST", f"{address}/api/v1/notes", {"title": "Ahoy"}, caller)
        assert status == 201, note
        if works:
            status, task = request(
                "POST", f"{address}/api/v1/tasks/exports", {"kind": "notes", "format": "csv"}, caller
            )
            assert status == 202, task
            role = ("python", "-m", "app", "celery")
            with (
                containers.started(*role, **variables) as worker,
                containers.started(*role, "beat", **variables) as beat,
            ):
                where = f"{address}/api/v1/tasks/{task['id']}"
                until(worker, lambda: request("GET", where, headers=caller)[1]["state"] == "succeeded")
                for one in (worker, beat):
                    assert one.execute(*role, "alive").returncode == 0, one.log
                    assert one.stop() == 0, one.log
        assert server.stop() == 0, server.log
        assert "Shutting down: Master" in server.log


def _serves_grpc(containers: Containers, variables: dict[str, str]) -> None:
    """The server of the other protocol says that it is healthy, and stops with success when told to."""
    role = ("python", "-m", "app", "grpc")
    with containers.started(*role, GRPC_PORT=str(free_port()), **variables) as server:
        until(server, lambda: server.execute(*role, "healthy").returncode == 0)
        assert server.stop() == 0, server.log
        assert "grpc_stopped" in server.log


def _answers(address: str) -> bool:
    try:
        return request("GET", f"{address}/readyz")[0] == 200
    except OSError:
        return False
