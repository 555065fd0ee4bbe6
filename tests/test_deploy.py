"""What stands around the application: image, Compose, Gunicorn, pipeline and Kubernetes, in every combination.

Toggles are all off or all on here; the questions about deployment and the database meet in every way.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sysconfig
import time
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import kubernetes_validate
import pytest
import yaml

from tests.machinery.combinations import combine
from tests.machinery.rendering import ROOT, render

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.machinery.examination import Bench
    from tests.machinery.questions import Questions

PINNED = re.compile(r"uses: (?P<action>[\w./-]+)@(?P<commit>[0-9a-f]{40}) # v(?P<version>[\d.]+)$")
AWKWARD = {"project_name": "Hafen \"Lög\" '${HOME}': #1", "description": 'a: "b" \\ $X - é'}


@pytest.fixture(scope="session")
def rendered(questions: Questions, template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with one project per combination, named after it."""
    scratch = tmp_path_factory.mktemp("deploy")
    axes = (questions.databases, *questions.extras)
    for row in product(*(axis.values for axis in axes)):
        for on in (False, True) if questions.toggles else (False,):
            answers = dict(zip((axis.name for axis in axes), row, strict=True))
            combination = combine(questions, {**answers, **dict.fromkeys(questions.toggles, on)})
            render(template, scratch / combination.id, {**AWKWARD, **combination.answers})
    return scratch


@pytest.mark.parametrize(
    ("schema", "pattern"),
    [
        ("compose-spec", "*/compose.yaml"),
        ("github-workflows", "*/.github/workflows/*.yml"),
        ("dependabot", "*/.github/dependabot.yml"),
    ],
)
def test_schemas(rendered: Path, schema: str, pattern: str) -> None:
    """Compose, workflow and Dependabot files are valid, the repository's own too."""
    files = [*rendered.glob(pattern), *ROOT.glob(pattern.removeprefix("*/"))]
    assert files
    lint("check-jsonschema", "--builtin-schema", f"vendor.{schema}", *files)


def test_workflows_are_safe(rendered: Path) -> None:
    """No finding in any workflow, even at zizmor's strictest."""
    projects = [path.parent for path in rendered.glob("*/.github")]
    lint("zizmor", "--offline", "--quiet", "--persona", "pedantic", ROOT / ".github", *projects)


def test_actions_are_pinned_alike(rendered: Path) -> None:
    """Every action is pinned by commit, and to the one that Dependabot keeps fresh in this repository."""
    own = actions(ROOT.glob(".github/workflows/*.yml"))
    theirs = actions(rendered.glob("*/.github/workflows/*.yml"))
    assert theirs
    assert theirs <= own


def test_dockerfiles(rendered: Path) -> None:
    """Hadolint has nothing to say."""
    lint("hadolint", *rendered.glob("*/Dockerfile"))


def test_kubernetes_manifests_are_valid(rendered: Path) -> None:
    """Every manifest fits the schema of the newest Kubernetes that is known, with no unknown field."""
    seen = 0
    for manifest in manifests(rendered.glob("*/deploy/k8s/**/*.yaml")):
        if manifest["kind"] != "Kustomization":
            kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)
            seen += 1
    assert seen


def test_kustomizations_fit_together(rendered: Path) -> None:
    """Kustomizations name files that exist, and give a name to every image and generated ConfigMap in use."""
    overlays = [*rendered.glob("*/deploy/k8s/overlays/*")]
    assert overlays
    for overlay in overlays:
        base = overlay.parents[1] / "base"
        for directory in (overlay, base):
            listed = set(load(directory / "kustomization.yaml")["resources"])
            assert all((directory / name).exists() for name in listed), directory
            present = {path.name for path in directory.glob("*.yaml")} - {"kustomization.yaml"}
            assert present <= listed, directory
        kustomization = load(overlay / "kustomization.yaml")
        named = {image["name"] for image in kustomization["images"]}
        generated = {item["name"] for item in kustomization["configMapGenerator"]}
        pods = [pod(manifest) for manifest in manifests(base.glob("*.yaml"))]
        containers = [
            container
            for spec in pods
            if spec
            for container in [*spec.get("initContainers", []), *spec["containers"]]
        ]
        assert {container["image"] for container in containers} == named
        assert {
            source["configMapRef"]["name"]
            for container in containers
            for source in container["envFrom"]
            if "configMapRef" in source
        } == generated


def test_pods_are_restricted(rendered: Path) -> None:
    """Pods keep to the restricted pod security standard, and write to nothing but volumes."""
    for manifest in manifests(rendered.glob("*/deploy/k8s/base/*.yaml")):
        spec = pod(manifest)
        if not spec:
            continue
        assert spec["securityContext"]["runAsNonRoot"]
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] is False
        for container in [*spec.get("initContainers", []), *spec["containers"]]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "readOnlyRootFilesystem": True,
            }
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}
            assert "memory" in container["resources"]["limits"]


def test_whoever_stops_the_server_waits_for_it(rendered: Path) -> None:
    """Gunicorn's grace period is shorter than that of Compose and of Kubernetes, after the pause before it."""
    project = next(path for path in rendered.iterdir() if (path / "deploy/k8s").is_dir())
    settings = (project / "deploy/gunicorn.conf.py").read_text(encoding="utf-8")
    found = re.search(r"^graceful_timeout = (\d+)$", settings, re.MULTILINE)
    assert found
    graceful = int(found[1])
    compose = load(project / "compose.yaml")
    assert graceful < int(compose["services"]["api"]["stop_grace_period"].removesuffix("s"))
    deployment = next(
        manifest
        for manifest in manifests([project / "deploy/k8s/base/api.yaml"])
        if manifest["kind"] == "Deployment"
    )
    spec = deployment["spec"]["template"]["spec"]
    pause = spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pause + graceful < spec["terminationGracePeriodSeconds"]


def test_nothing_of_what_was_not_chosen(rendered: Path) -> None:
    """The other database is not mentioned."""
    words = {"sqlite": ("postgres", "5432"), "postgresql": ("sqlite", "/data")}
    for project in rendered.iterdir():
        files = [project / "compose.yaml", project / "Dockerfile", *project.glob("deploy/**/*.*ml")]
        for path in [*files, *project.glob(".github/**/*.yml")]:
            text = path.read_text(encoding="utf-8").lower()
            if path.name == "kustomization.yaml":
                text = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
            for word in words[project.name.partition("+")[0]]:
                assert word not in text, path


def test_gunicorn_serves_and_stops(rendered: Path, bench: Bench, tmp_path: Path) -> None:
    """The server starts from its settings, and on SIGTERM ends open streams and leaves with success."""
    project = next(path for path in rendered.iterdir() if path.name.startswith("sqlite"))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {
        "DATABASE_URL": f"sqlite+aiosqlite:///{tmp_path}/app.db",
        "ENVIRONMENT": "local",
        "PATH": str(bench.python.parent),
        "PORT": str(port),
        "WEB_CONCURRENCY": "2",
    }
    command = [bench.python, "-m", "gunicorn", "--config", "deploy/gunicorn.conf.py", "app.main:app"]
    log = tmp_path / "log"
    with (
        log.open("wb") as output,
        subprocess.Popen(command, cwd=project, env=environment, stdout=output, stderr=output) as server,
    ):
        try:
            wait_until_ready(server, port)
            with socket.create_connection(("127.0.0.1", port), timeout=15) as stream:
                stream.sendall(b"GET /api/v1/notes/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert stream.recv(65536).startswith(b"HTTP/1.1 200")
                server.send_signal(signal.SIGTERM)
                while stream.recv(65536):
                    pass
            assert server.wait(timeout=15) == 0, log.read_text()
        finally:
            server.kill()


@pytest.mark.parametrize(
    ("quota", "expected"),
    [("max 100000", None), ("50000 100000", 1), ("100000 100000", 1), ("not a quota", None)],
)
def test_workers_follow_the_quota(
    rendered: Path, bench: Bench, tmp_path: Path, quota: str, expected: int | None
) -> None:
    """One worker for each CPU of the container's quota, else for each CPU of the machine."""
    (tmp_path / "cpu.max").write_text(quota, encoding="ascii")
    project = next(rendered.iterdir())
    program = (
        "import pathlib, runpy, sys;"
        "usable_cpus = runpy.run_path('deploy/gunicorn.conf.py')['usable_cpus'];"
        "print(usable_cpus(pathlib.Path(sys.argv[1])))"
    )
    command = [bench.python, "-c", program, tmp_path / "cpu.max"]
    printed = subprocess.run(command, cwd=project, capture_output=True, text=True, check=True).stdout
    assert int(printed) == (expected or len(os.sched_getaffinity(0)))


def wait_until_ready(server: subprocess.Popen[bytes], port: int) -> None:
    """Return when the server answers that it is ready."""
    deadline = time.monotonic() + 30
    while True:
        try:
            with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
                assert answer.status == 200
                return
        except OSError:
            assert server.poll() is None, "the server has ended"
            assert time.monotonic() < deadline, "the server did not become ready"
            time.sleep(0.1)


def lint(program: str, *arguments: str | Path) -> None:
    """Run a linter that is installed beside this interpreter, and fail with what it says."""
    command = [str(Path(sysconfig.get_path("scripts")) / program), *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        pytest.fail(f"{result.stdout}\n{result.stderr}", pytrace=False)


def actions(workflows: Iterable[Path]) -> set[tuple[str, str, str]]:
    """Action, commit and version of every step that uses one."""
    lines = [
        line.strip()
        for path in workflows
        for line in path.read_text(encoding="utf-8").splitlines()
        if "uses:" in line
    ]
    found = [PINNED.search(line) for line in lines]
    assert all(found), [line for line, match in zip(lines, found, strict=True) if not match]
    return {(match["action"], match["commit"], match["version"]) for match in found if match}


def load(path: Path) -> dict[str, Any]:
    """The one document of a YAML file."""
    (document,) = manifests([path])
    return document


def manifests(paths: Iterable[Path]) -> Iterator[dict[str, Any]]:
    """Every document of these YAML files."""
    for path in paths:
        yield from yaml.safe_load_all(path.read_text(encoding="utf-8"))


def pod(manifest: dict[str, Any]) -> dict[str, Any]:
    """The specification of the pods that a manifest makes, or nothing."""
    spec = manifest.get("spec", {}).get("template", {}).get("spec", {})
    assert isinstance(spec, dict)
    return spec
