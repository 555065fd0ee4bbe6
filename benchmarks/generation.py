"""Time to the first 200, compared with other generators: `python -m benchmarks.generation --help`."""

import argparse
import os
import platform
import resource
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from benchmarks.project import ROOT, clean_environment
from benchmarks.report import table

DEADLINE = 120.0
PACE = 0.02
NAME = "harbour_log"


@dataclass(frozen=True)
class Generator:
    """A generator as its users run it, in its own environment. `{port}` and `{template}` are placeholders."""

    name: str
    distribution: str
    program: str
    generate: Sequence[str]
    folder: str
    """Folder of the Python project, relative to the destination."""

    serve: Sequence[str]
    health: str
    ready: Callable[[Path], None] = lambda _: None
    """Manual steps from its README before the first start."""


def _copy_example_settings(project: Path) -> None:
    shutil.copy(project / ".env.example", project / ".env")


def _keel(name: str, *answers: str) -> Generator:
    data = [word for answer in ("project_name=Harbour Log", *answers) for word in ("--data", answer)]
    return Generator(
        name,
        "copier",
        "copier",
        ["copy", "--quiet", "--defaults", *data, "{template}", NAME],
        NAME,
        ["uv", "run", "fastapi", "dev", "--port", "{port}"],
        "/healthz",
    )


GENERATORS = (
    _keel("Keel, everything", "preset=everything", "kubernetes=true"),
    _keel("Keel, minimal", "preset=minimal"),
    Generator(
        "fastapi_template",
        "fastapi-template",
        "fastapi_template",
        shlex.split(
            "--quiet --name {name} --api-type rest --db sqlite --orm sqlalchemy --ci github --migrations --dummy "
            "--routers --add_users --jwt-auth --cookie-auth --swagger --loguru --gunicorn"
        ),
        NAME,
        ["uv", "run", "-m", "{name}"],
        "/api/health",
    ),
    Generator(
        "fastapi-fullstack",
        "fastapi-fullstack",
        "fastapi-fullstack",
        ["create", "{name}", "--minimal", "--ai-framework", "none"],
        f"{NAME}/backend",
        ["uv", "run", "{name}", "server", "run", "--reload", "--port", "{port}"],
        "/api/v1/health",
        _copy_example_settings,
    ),
)


@dataclass(frozen=True)
class Run:
    """Durations of one generation, in seconds, and its output."""

    wall: float
    cpu: float
    install: float
    start: float
    files: int
    lines: int

    @property
    def whole(self) -> float:
        """Return the seconds from generation to the first 200."""
        return self.wall + self.install + self.start


def _environment(python: str) -> dict[str, str]:
    """Return an environment in which Python writes bytecode and uv downloads no Python."""
    return {
        **clean_environment(),
        "UV_PYTHON": python,
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_COMPILE_BYTECODE": "0",
    }


def _install(generator: Generator, place: Path, python: str) -> Path:
    """Install a generator with compiled bytecode, for a warm start."""
    environment = place / generator.distribution
    if not environment.exists():
        command = ["uv", "venv", "--quiet", "--python", python, environment]
        subprocess.run(command, check=True)
        command = ["uv", "pip", "install", "--quiet", "--compile-bytecode", "--python", environment]
        subprocess.run([*command, generator.distribution], check=True)
    return environment / ("Scripts" if os.name == "nt" else "bin") / generator.program


def _release(place: Path) -> Path:
    """Clone the last commit and tag it as a release, as users would copy it."""
    template = place / "keel"
    subprocess.run(["git", "clone", "--quiet", ROOT, template], check=True)
    subprocess.run(["git", "-C", template, "tag", "--force", "v999.0.0"], check=True, capture_output=True)
    return template


def _run(generator: Generator, program: Path, template: Path, place: Path, python: str) -> Run:
    port = _free_port()
    words = {"name": NAME, "port": str(port), "template": str(template)}
    environment = _environment(python) | {"HARBOUR_LOG_PORT": str(port), "HARBOUR_LOG_RELOAD": "True"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    command = [str(program), *(word.format(**words) for word in generator.generate)]
    with (place / "log").open("wb") as log:
        subprocess.run(
            command, cwd=place, env=environment, check=True, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        wall = time.perf_counter() - began
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        files, lines = _size(place / NAME)
        project = place / generator.folder
        generator.ready(project)
        began = time.perf_counter()
        subprocess.run(
            ["uv", "sync", "--quiet"], cwd=project, env=environment, check=True, stdout=log, stderr=log
        )
        install = time.perf_counter() - began
        began = time.perf_counter()
        server = subprocess.Popen(
            [word.format(**words) for word in generator.serve],
            cwd=project,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            _wait(f"http://127.0.0.1:{port}{generator.health}", server, place / "log")
            start = time.perf_counter() - began
        finally:
            with suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)
            server.wait()
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(wall, cpu, install, start, files, lines)


def _size(project: Path) -> tuple[int, int]:
    """Return the number of generated files and lines, without files created by tools."""
    tools = {".git", ".venv", ".ruff_cache", "__pycache__"}
    paths = [path for path in project.rglob("*") if path.is_file() and not tools.intersection(path.parts)]
    own = [path for path in paths if path.name != "uv.lock"]
    return len(own), sum(path.read_bytes().count(b"\n") for path in own)


def _wait(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + DEADLINE
    while True:
        with suppress(OSError), urllib.request.urlopen(url, timeout=1) as answer:  # noqa: S310 - ours
            if answer.status == 200:
                return
        if server.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"{url} never responded:\n{log.read_text(errors='replace')[-4000:]}")
        time.sleep(PACE)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def main() -> None:
    """Generate, install and start projects in alternation; print medians and ratios."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.generation", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="after one that warms the caches (default: 5)")
    parser.add_argument(
        "--python",
        default=sys.executable,
        help="version or path, for all; the peers require 3.12 (default: this one)",
    )
    arguments = parser.parse_args()
    runs: dict[str, list[Run]] = {each.name: [] for each in GENERATORS}
    with tempfile.TemporaryDirectory(prefix="keel-generation-") as folder:
        template = _release(Path(folder))
        programs = {each.name: _install(each, Path(folder), arguments.python) for each in GENERATORS}
        for number in range(-1, arguments.rounds):
            for each in GENERATORS:
                place = Path(folder, "place")
                place.mkdir()
                run = _run(each, programs[each.name], template, place, arguments.python)
                shutil.rmtree(place)
                seconds = f"{run.wall:.2f} s, {run.whole:.2f} s to the first 200"
                print(f"{number + 1}: {each.name}: {seconds}, load {os.getloadavg()[0]:.1f}", file=sys.stderr)
                if number >= 0:
                    runs[each.name].append(run)
    command = ["uv", "run", "--no-project", "--python", arguments.python, "python", "--version"]
    version = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    print(f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} CPUs, {version}, {platform.system()}\n")
    _print(runs)


def _print(runs: dict[str, list[Run]]) -> None:
    rows = []
    for name, found in runs.items():
        seconds = [
            median(getattr(run, field) for run in found)
            for field in ("wall", "cpu", "install", "start", "whole")
        ]
        fastest = min(run.wall for run in found)
        sizes = [str(found[0].files), str(found[0].lines)]
        rows.append(
            [name, f"{seconds[0]:.2f}", f"{fastest:.2f}", *(f"{each:.2f}" for each in seconds[1:]), *sizes]
        )
    head = [
        "generator",
        "generate s",
        "fastest s",
        "CPU s",
        "install s",
        "start s",
        "nothing to 200 s",
        "files",
        "lines",
    ]
    print(table(head, rows))
    ours, *others = runs
    rows = []
    for name in others:
        pairs = list(zip(runs[name], runs[ours], strict=True))
        ratios = [[getattr(a, field) / getattr(b, field) for a, b in pairs] for field in ("wall", "whole")]
        rows.append([name, *(f"{median(each):.2f} ({min(each):.2f}-{max(each):.2f})" for each in ratios)])
    print(table([f"takes … times as long as {ours}", "generate", "nothing to 200"], rows))


if __name__ == "__main__":
    main()
