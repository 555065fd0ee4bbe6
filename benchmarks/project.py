"""What is measured, installed in a temporary folder: rendered projects as for production, and the floors."""

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import copier

from benchmarks.settings import EMAIL, SECRET

ROOT = Path(__file__).parents[1]
FLOORS = Path(__file__).parent / "floors"


@dataclass(frozen=True)
class Project:
    """A rendered project with its environment."""

    path: Path

    @property
    def python(self) -> Path:
        """Return the interpreter of its environment."""
        return self.path / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    def run(self, *arguments: str, env: dict[str, str]) -> None:
        """Run a module of its environment within it."""
        command = [self.python, "-m", *arguments]
        subprocess.run(
            command, cwd=self.path, env=clean_environment() | env, check=True, stdout=subprocess.DEVNULL
        )

    def prepare(self, env: dict[str, str], *, account: bool) -> None:
        """Make the tables of an empty database, and an account."""
        self.run("app", "migrate", env=env)
        if account:
            self.run("app", "auth", "create-admin", EMAIL, f"--password={SECRET}", env=env)


def render(path: Path, database: str, *, preset: str = "minimal", **toggles: bool) -> Project:
    """Render the working tree, uncommitted changes included, and install what production needs."""
    with tempfile.TemporaryDirectory() as plain:
        # A plain copy, for Copier would take the latest tag of a repository.
        shutil.copytree(
            ROOT / "template", Path(plain, "template"), ignore=shutil.ignore_patterns("__pycache__")
        )
        shutil.copy(ROOT / "copier.yml", plain)
        answers = {"project_name": "Benchmark", "database": database, "preset": preset, **toggles}
        copier.run_copy(plain, path, data=answers, defaults=True, quiet=True)
    command = ["uv", "sync", "--quiet", "--no-dev", "--compile-bytecode"]
    subprocess.run(command, cwd=path, env=clean_environment(), check=True)
    subprocess.run(
        [Project(path).python, "-m", "compileall", "-q", "-x", r"[/\\]\.venv[/\\]", path], check=True
    )
    return Project(path)


def install_floors(path: Path, project: Project) -> Path:
    """Install what the floors need, in the versions that a project has locked; return their interpreter."""
    path.mkdir()
    versions = path / "versions.txt"
    export = [
        "uv",
        "export",
        "--quiet",
        "--no-dev",
        "--no-hashes",
        "--no-emit-project",
        "--output-file",
        versions,
    ]
    subprocess.run(export, cwd=project.path, env=clean_environment(), check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["uv", "venv", "--quiet", "--python", project.python, path / ".venv"], check=True)
    install = ["uv", "pip", "install", "--quiet", "--compile-bytecode", "--python", Project(path).python]
    subprocess.run(
        [*install, "--constraint", versions, "--requirement", FLOORS / "requirements.txt"], check=True
    )
    return Project(path).python


def clean_environment() -> dict[str, str]:
    """Return the environment without what would make one machine's results differ from another's."""
    ours = (
        "PYTHON",
        "VIRTUAL_ENV",
        "DATABASE_",
        "ENVIRONMENT",
        "LOG_",
        "RATE_LIMIT",
        "AUTH_",
        "MAIL_",
        "CHAT_",
        "WEBSOCKETS_",
        "REDIS_",
        "OTEL_",
        "GRPC_",
        "CELERY_",
        "LLM_",
        "OLLAMA_",
        "ASSISTANT_",
        "ANALYTICS_",
        "KAFKA_",
    )
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}
