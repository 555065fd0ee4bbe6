"""What the pipeline runs, run here as it is written.

The rendered workflows are read, so a new step is known at once: each must be run by a test, or stand in `ELSEWHERE`.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import tomllib
from collections import Counter
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.machinery import selection
from tests.machinery.combinations import extremes
from tests.machinery.databases import empty_database
from tests.machinery.deployment import distinct, load
from tests.machinery.environment import declared, uv
from tests.machinery.questions import DATABASE, Questions
from tests.machinery.recorded_programs import Recorder
from tests.machinery.rendering import ROOT, git, render
from tests.machinery.serving import Isolated
from tests.machinery.warm_commands import Warm
from tests.test_thorough import RUNS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.machinery.combinations import Combination
    from tests.machinery.resources import Resources
    from tests.machinery.warm import WarmProcess

#: Done by a test: cheap ones in every run, here; the others, most of them with `--full`, by test_thorough.
CHEAP = ("lint", "migrations")
DEAR = ("test", "fuzz", "faults")
#: Steps that no test runs, and why.
ELSEWHERE = {
    "docker compose *": "needs a container engine; the images workflow of this repository runs it",
    "sudo apt-get *": "installs a system package",
    'uv run pytest -m "not fuzz" keel/tests/kafka': "needs Apache Kafka; the same tests run on a mock",
    "uv audit": "asks a database on the internet",
    "uv run --only-group security kingfisher *": "test_secrets_are_found runs it",
    "uvx --from * copier update *": "test_walkthroughs updates projects",
    "uv lock": "every test that isolates a project does it",
    "if *": "test_the_update_becomes_a_pull_request runs it",
    "test *": "test_a_tag_names_the_version runs it",
    "echo *": "test_a_tag_names_the_version runs it",
    "gh *": "needs GitHub",
    "kustomize *": "needs kustomize's own program",
    "mkdir *": "needs a cluster's credentials",
    "sh deploy/k8s/base/rollout.sh production": "test_cluster runs it",
    "curl *": "needs the platform",
}
QUESTIONS = Questions.load(ROOT / "copier.yml")
SMALLEST, *_, LARGEST = extremes(QUESTIONS)
PIPELINE = {"ci": "github"}
UPDATE = "keel-update.yml"
ANY = "any"
#: Long enough to be one, and put together here, so that this file has none. It was never in use.
SECRET = "ghp" + "_" + "7sX2kQ9vB4nL1mR8tY3wZ6cJ5hF0dG" + "2KpWuE"


def steps(workflow: Path) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Job, command and variables of every step that runs something."""
    document = load(workflow)
    for name, job in document["jobs"].items():
        for step in job.get("steps", ()):
            if "run" in step:
                variables = {**document.get("env", {}), **job.get("env", {}), **step.get("env", {})}
                yield name, step["run"].strip(), variables


def commands(project: Path, jobs: Iterable[str]) -> list[tuple[str, ...]]:
    """The commands of these jobs that uv runs, as words after `uv`."""
    found = [
        tuple(shlex.split(command))[1:]
        for job, command, _ in steps(project / ".github/workflows/keel-ci.yml")
        if job in jobs and command.startswith("uv ")
    ]
    assert found
    return found


def test_every_step_is_accounted_for(deployed: list[Path]) -> None:
    """Each workflow command is run by a test, or listed with a valid reason."""
    used = set()
    for workflow in distinct(deployed, ".github/workflows/*.yml"):
        for job, command, _ in steps(workflow):
            if job in (*CHEAP, *DEAR) and command.startswith("uv run "):
                continue
            matching = {pattern for pattern in ELSEWHERE if fnmatchcase(command, pattern)}
            assert matching, f"{workflow}: {job}: {command}"
            used |= matching
    assert used == ELSEWHERE.keys()


@pytest.mark.parametrize("chosen", [SMALLEST, LARGEST], ids=lambda chosen: chosen.id)
def test_cheap_steps(resources: Resources, warm: WarmProcess, tmp_path: Path, chosen: Combination) -> None:
    """Lint, types, layers, and migrations up, checked and down: as written, on the real database."""
    project = render(resources.template, tmp_path / "project", {**chosen.answers, **PIPELINE})
    with empty_database(str(chosen.answers[DATABASE]), resources.server, tmp_path) as url:
        runner = Warm(project, resources, warm, {"DATABASE_URL": url})
        for command in commands(project, CHEAP):
            result = runner.run(*command)
            assert result.returncode == 0, f"uv {shlex.join(command)}:\n{result.stdout}{result.stderr}"


def test_gitlab_runs_the_same(template: Path, tmp_path: Path) -> None:
    """Each job of GitLab's pipeline has the commands that the tests above run for GitHub's."""
    for chosen in (SMALLEST, LARGEST):
        github = render(template, tmp_path / f"{chosen.id}-github", {**chosen.answers, "ci": "github"})
        gitlab = render(template, tmp_path / f"{chosen.id}-gitlab", {**chosen.answers, "ci": "gitlab"})
        expected: dict[str, list[str]] = {}
        for job, command, _ in steps(github / ".github/workflows/keel-ci.yml"):
            if command.startswith("uv "):
                expected.setdefault(job, []).append(command)
        pipeline = load(gitlab / ".gitlab-ci.yml")
        found = {
            name: [command for command in job["script"] if command.startswith("uv ")]
            for name, job in pipeline.items()
            if "script" in job and name != "container"
        }
        assert found == expected
        assert not (gitlab / ".github").exists()


def test_expensive_steps(template: Path, tmp_path: Path) -> None:
    """Coverage, fuzzing and fault injection are what test_thorough runs, word for word."""
    project = render(template, tmp_path / "project", {**LARGEST.answers, **PIPELINE})
    assert set(commands(project, DEAR)) == {("run", "pytest", *options) for options in RUNS.values()}


def test_lock_file_is_required(template: Path, tmp_path: Path) -> None:
    """Without one, the first step of every job says what to do."""
    project = render(template, tmp_path / "project", {**SMALLEST.answers, **PIPELINE})
    _, command, variables = next(steps(project / ".github/workflows/keel-ci.yml"))
    assert variables["UV_LOCKED"] == "1"
    result = Isolated(project).run(*shlex.split(command)[1:], UV_LOCKED="1")
    assert result.returncode != 0
    assert "Unable to find lockfile" in result.stderr
    assert "run `uv lock` or `uv sync`" in result.stderr


def test_every_python_gets_the_same_libraries(template: Path, tmp_path: Path) -> None:
    """Dependencies are locked in one version for all Pythons, so tests on one apply to all."""
    project = render(template, tmp_path / "project", LARGEST.answers)
    Isolated(project).must("lock", "--quiet")
    packages = tomllib.loads((project / "uv.lock").read_text(encoding="utf-8"))["package"]
    locked = Counter(str(package["name"]) for package in packages)
    names = declared(project / "pyproject.toml", "dev")
    assert {name: locked[name] for name in names if locked[name] != 1} == {}


def test_secrets_are_found(resources: Resources, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """A fresh project has no secret; one in the history is found, and not printed."""
    if not selection.is_full(request.config):
        pytest.skip("runs with --full")
    project = render(resources.template, tmp_path / "project", {**LARGEST.answers, **PIPELINE})
    isolated = Isolated(project)
    isolated.must("lock", "--quiet")
    git(project, "init", "--quiet")
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--message", "Begin")
    (command,) = [item for item in commands(project, ["security"]) if "kingfisher" in item]
    isolated.must(*command)
    (project / "app" / "token.py").write_text(f'TOKEN = "{SECRET}"\n', encoding="utf-8")
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--message", "A mistake")
    git(project, "rm", "--quiet", "app/token.py")
    git(project, "commit", "--quiet", "--message", "Undo it")
    result = isolated.run(*command)
    assert result.returncode != 0, result.stdout
    assert SECRET not in result.stdout


def test_a_tag_names_the_version(template: Path, tmp_path: Path) -> None:
    """A release is refused unless its tag matches pyproject.toml's version; its image's name is lower-case."""
    project = render(template, tmp_path / "project", {**SMALLEST.answers, **PIPELINE})
    check, name = [
        command for job, command, _ in steps(project / ".github/workflows/keel-release.yml") if job == "image"
    ]
    for tag, expected in (("v0.1.0", 0), ("v0.2.0", 1)):
        assert _bash(check, project, GITHUB_REF_NAME=tag).returncode == expected
    output = tmp_path / "output"
    assert _bash(name, project, GITHUB_REPOSITORY="Owner/Harbour", GITHUB_OUTPUT=str(output)).returncode == 0
    assert output.read_text(encoding="utf-8") == "name=ghcr.io/owner/harbour\n"


def test_the_update_becomes_a_pull_request(template: Path, tmp_path: Path) -> None:
    """An update's changes are proposed once; without changes or a token nothing is pushed. A recorder replaces gh."""
    project = render(template, tmp_path / "project", {**SMALLEST.answers, **PIPELINE})
    git(tmp_path, "init", "--quiet", "--bare", "origin.git")
    git(project, "init", "--quiet", "--initial-branch", "main")
    git(project, "remote", "add", "origin", str(tmp_path / "origin.git"))
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--message", "Begin")
    *_, (_, script, _) = steps(project / ".github" / "workflows" / UPDATE)
    gh = Recorder(tmp_path / "tools", "gh", {"pr view": (1, "")})

    unchanged = gh.run("bash", "-e", "-c", script, cwd=project, GH_TOKEN=ANY)
    assert (unchanged.returncode, unchanged.stdout) == (0, "Nothing is new.\n")
    (project / "NEWS.md").write_text("# News\n", encoding="utf-8")
    refused = gh.run("bash", "-e", "-c", script, cwd=project, GH_TOKEN="")
    assert refused.returncode == 1
    assert "::error::Set the secret KEEL_UPDATE_TOKEN." in refused.stdout
    assert gh.calls == []

    proposed = gh.run("bash", "-e", "-c", script, cwd=project, GH_TOKEN=ANY)

    assert [" ".join(call[:2]) for call in gh.calls] == ["auth setup-git", "pr view", "pr create"]
    assert proposed.returncode == 0, proposed.stderr
    assert "NEWS.md" in git(tmp_path / "origin.git", "show", "--stat", "keel-update")


def test_deployment_by_digest(deployed: list[Path]) -> None:
    """A deployment uses the digest of the built image, never a tag that may move."""
    for workflow in distinct(deployed, ".github/workflows/keel-release.yml"):
        jobs = load(workflow)["jobs"]
        assert jobs["deploy"]["environment"] == "production"
        assert jobs["deploy"]["needs"] == "image"
        assert re.search(
            r"@\$\{\{ steps\.build\.outputs\.digest \}\}$", jobs["image"]["outputs"]["reference"]
        )
        assert jobs["deploy"]["env"]["IMAGE"] == "${{ needs.image.outputs.reference }}"


def _bash(command: str, directory: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": f"{Path(uv()).parent}:/usr/bin:/bin", **variables}
    return subprocess.run(
        ["bash", "-e", "-c", command],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
