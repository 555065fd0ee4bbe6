"""Installation in a temporary folder: rendered projects, as for production, and floors."""

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
        """Return its environment's interpreter."""
        return self.path / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    def run(self, *arguments: str, env: dict[str, str]) -> None:
        """Run a module in the project, with its environment's interpreter."""
        command = [self.python, "-m", *arguments]
        subprocess.run(
            command, cwd=self.path, env=clean_environment() | env, check=True, stdout=subprocess.DEVNULL
        )

    def prepare(self, env: dict[str, str], *, account: bool) -> None:
        """Create the tables and an account."""
        self.run("app", "migrate", env=env)
        if account:
            self.run("app", "auth", "create-admin", EMAIL, f"--password={SECRET}", env=env)


def render(path: Path, database: str, *, preset: str = "minimal", **toggles: bool) -> Project:
    """Render the working tree, including uncommitted changes, and install production dependencies."""
    with tempfile.TemporaryDirectory() as plain:
        # A plain copy, because Copier would use the latest tag of a repository.
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
    """Install the floors' dependencies in a project's locked versions; return the interpreter."""
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
    """Return the environment without variables that would affect results."""
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
