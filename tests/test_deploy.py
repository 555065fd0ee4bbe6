"""What stands around the application: image, Compose, Gunicorn and the pipeline's files, in every combination.

Each content is checked once. What the cluster is told is in `test_cluster`, what the pipeline runs in `test_pipeline`.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from typing import TYPE_CHECKING
from urllib.request import urlopen

import pytest

from tests.machinery.deployment import containers, distinct, documents, lint, load, pod
from tests.machinery.rendering import ROOT, render
from tests.machinery.serving import PATIENCE, free_port

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tests.machinery.resources import Resources

PINNED = re.compile(r"uses: (?P<action>[\w./-]+)@(?P<commit>[0-9a-f]{40}) # v(?P<version>[\d.]+)$")


@pytest.mark.parametrize(
    ("schema", "pattern"),
    [
        ("compose-spec", "compose*.yaml"),
        ("github-workflows", ".github/workflows/*.yml"),
        ("gitlab-ci", ".gitlab-ci.yml"),
        ("dependabot", ".github/dependabot.yml"),
    ],
)
def test_schemas(deployed: list[Path], schema: str, pattern: str) -> None:
    """Compose, workflow and Dependabot files are valid, including this repository's own."""
    files = [*distinct(deployed, pattern), *ROOT.glob(pattern)]
    lint("check-jsonschema", "--builtin-schema", f"vendor.{schema}", *files)


def test_workflows_are_safe(deployed: list[Path]) -> None:
    """Zizmor finds nothing in any workflow, even at its strictest."""
    projects = [path.parent for path in distinct(deployed, ".github")]
    lint("zizmor", "--offline", "--quiet", "--persona", "pedantic", ROOT / ".github", *projects)


def test_actions_are_pinned_alike(deployed: list[Path]) -> None:
    """Every action is pinned to the commit that Dependabot updates in this repository."""
    own = actions(ROOT.glob(".github/workflows/*.yml"))
    theirs = actions(distinct(deployed, ".github/workflows/*.yml"))
    assert theirs
    assert theirs <= own


def test_compose_holds_together(deployed: list[Path]) -> None:
    """Every service has a check and limits, starts after what it needs, and is open to this machine alone.

    The override for development adds to services that there are, and services that are as safe.
    """
    for path in distinct(deployed, "compose.yaml"):
        compose, override = load(path), load(path.with_name("compose.dev.yaml"))["services"]
        services = compose["services"]
        added = {name: service for name, service in override.items() if name not in services}
        for name, service in {**services, **added}.items():
            assert service["deploy"]["resources"]["limits"].keys() >= {"cpus", "memory"}, f"{path}: {name}"
            assert service["cap_drop"] == ["ALL"], f"{path}: {name}"
            assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), f"{path}: {name}"
            image = service["image"]
            assert service.get("build") or (":" in image and not image.endswith(":latest")), image
            for needed, how in service.get("depends_on", {}).items():
                assert needed in services, f"{path}: {name}: {needed}"
                # What runs once has no health.
                once = services[needed].get("healthcheck", {}).get("disable", False)
                expected = "service_completed_successfully" if once else "service_healthy"
                assert how["condition"] == expected, f"{path}: {name}: {needed}"
            # What is built has the image's own health check.
            assert "build" in service or "healthcheck" in service, f"{path}: {name}"
        for name, service in override.items():
            if name in added:
                continue
            assert services[name]["build"]["context"] == ".", f"{path}: {name}"
            assert service["image"] != services[name]["image"], (
                "a developer's image is not taken for the other"
            )


def test_dockerfiles(deployed: list[Path]) -> None:
    """Hadolint finds nothing."""
    lint("hadolint", *distinct(deployed, "Dockerfile"))


def test_images_are_pinned(template: Path, tmp_path: Path) -> None:
    """`pin-images.sh` adds a digest to each pulled image's tag; Dependabot updates both."""
    project = render(template, tmp_path / "project", {"preset": "everything", "database": "postgresql"})
    files = [project / name for name in ("Dockerfile", "compose.yaml", "compose.dev.yaml")]
    before = {path: path.read_text(encoding="utf-8") for path in files}
    # The image's own bases are pinned from the start.
    sources = re.findall(r"^(?:FROM |COPY --from=)(\S+:\S+)", before[files[0]], re.MULTILINE)
    assert len(sources) == 3
    assert all(re.search(r":[^@]+@sha256:[0-9a-f]{64}$", source) for source in sources), sources
    unpinned = {path: re.sub("@sha256:[0-9a-f]{64}", "", text) for path, text in before.items()}
    stand_in = tmp_path / "bin" / "docker"
    stand_in.parent.mkdir()

    def pin(answer: str) -> subprocess.CompletedProcess[str]:
        stand_in.write_text(f"#!/bin/sh\n{answer}\n", encoding="utf-8")
        stand_in.chmod(0o755)
        environment = {**os.environ, "PATH": f"{stand_in.parent}{os.pathsep}{os.environ['PATH']}"}
        script = ["sh", str(project / "deploy/pin-images.sh")]
        return subprocess.run(script, env=environment, capture_output=True, text=True, check=False)

    refused = pin("echo no such image")
    assert refused.returncode == 1
    assert "no digest, but: no such image" in refused.stderr
    assert {path: path.read_text(encoding="utf-8") for path in files} == before
    for letter in "ab":
        done = pin(f"echo 'Name:   image\nDigest: sha256:{letter * 64}'")
        assert done.returncode == 0, done.stderr
        pinned = f"@sha256:{letter * 64}"
        assert {path: path.read_text(encoding="utf-8").replace(pinned, "") for path in files} == unpinned
        dockerfile, services = files[0].read_text(encoding="utf-8"), load(files[1])["services"]
        bases = re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE)
        assert len(bases) == 2
        assert all(base.endswith(pinned) for base in bases), bases
        assert dockerfile.count(pinned) == 3
        fetched = {service["image"] for service in services.values() if "build" not in service}
        assert len(fetched) >= 3
        assert all(image.endswith(pinned) for image in fetched), fetched
    ecosystems = {each["package-ecosystem"] for each in load(project / ".github/dependabot.yml")["updates"]}
    assert {"docker", "docker-compose"} <= ecosystems


def test_image_contents(template: Path, tmp_path: Path) -> None:
    """The image has both wings and the migrations, but no tests, fixtures, documentation, settings or history."""
    project = render(template, tmp_path / "project", {"preset": "everything"})
    names = {path.relative_to(project).as_posix() for path in project.rglob("*") if path.is_file()}
    rules = (project / ".dockerignore").read_text(encoding="utf-8").splitlines()

    sent = {name for name in names | {".env", ".git/config", "app.db"} if not ignored(name, rules)}

    assert sent >= {"app/main.py", "keel/application.py", "migrations/env.py", "pyproject.toml"}
    outside = (
        "tests/",
        "keel/tests/",
        "keel/testing/",
        "keel/docs/",
        ".env",
        ".git/",
        "app.db",
        "conftest.py",
    )
    assert [name for name in sent if name.startswith(outside)] == []


def ignored(name: str, rules: Iterable[str]) -> bool:
    """Whether Docker leaves a file out: the last rule that matches it, or a folder around it, decides."""
    found = False
    parts = name.split("/")
    for rule in (rule for rule in rules if rule and not rule.startswith("#")):
        pattern = re.escape(rule.removeprefix("!")).replace(r"\*\*/", "(.*/)?").replace(r"\*", "[^/]*")
        pattern = pattern.replace(r"\[co\]", "[co]")
        if any(re.fullmatch(pattern, "/".join(parts[:length])) for length in range(1, len(parts) + 1)):
            found = not rule.startswith("!")
    return found


def test_the_server_gets_time_to_stop(deployed: list[Path]) -> None:
    """Gunicorn's grace period fits into that of Compose and Kubernetes, after the pause before it."""
    project = next(path for path in deployed if (path / "deploy/k8s").is_dir())
    settings = (project / "deploy/gunicorn.conf.py").read_text(encoding="utf-8")
    found = re.search(r"^graceful_timeout = (\d+)$", settings, re.MULTILINE)
    assert found
    graceful = int(found[1])
    compose = load(project / "compose.yaml")
    assert graceful < int(compose["services"]["api"]["stop_grace_period"].removesuffix("s"))
    deployment = next(
        manifest
        for manifest in documents([project / "deploy/k8s/base/api.yaml"])
        if manifest["kind"] == "Deployment"
    )
    spec = deployment["spec"]["template"]["spec"]
    pause = spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pause + graceful < spec["terminationGracePeriodSeconds"]


def test_the_grpc_server_gets_time_to_stop(deployed: list[Path]) -> None:
    """The same for GRPC_GRACE_SECONDS, in its own pod or next to the HTTP server."""
    for project in deployed:
        example = (project / ".env.example").read_text(encoding="utf-8")
        if not (found := re.search(r"^# GRPC_GRACE_SECONDS=([\d.]+)$", example, re.MULTILINE)):
            continue
        compose = load(project / "compose.yaml")
        assert float(found[1]) < int(compose["services"]["grpc"]["stop_grace_period"].removesuffix("s"))
        for manifest in documents((project / "deploy/k8s/base").glob("*.yaml")):
            for container in containers(manifest):
                if container["name"] == "grpc":
                    pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
                    assert pause + float(found[1]) < pod(manifest)["terminationGracePeriodSeconds"]


def test_other_database_is_not_mentioned(deployed: list[Path]) -> None:
    """No file mentions the database that was not chosen."""
    words = {"sqlite": ("postgres", "5432"), "postgresql": ("sqlite", "app.db")}
    for project in deployed:
        files = [project / "compose.yaml", project / "Dockerfile", *project.glob("deploy/**/*.*ml")]
        for path in [*files, *project.glob(".github/**/*.yml")]:
            text = path.read_text(encoding="utf-8").lower()
            if path.name == "kustomization.yaml":
                text = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
            for word in words[project.name.partition("+")[0]]:
                assert word not in text, path


def test_gunicorn_serves_and_stops(resources: Resources, tmp_path: Path) -> None:
    """The server starts from its settings; on SIGTERM it ends open streams and exits with 0."""
    project = render(resources.template, tmp_path / "project", {"preset": "minimal", "database": "sqlite"})
    port = free_port()
    environment = {
        "DATABASE_URL": f"sqlite+aiosqlite:///{tmp_path}/app.db",
        "ENVIRONMENT": "local",
        "PATH": str(resources.python.parent),
        "PORT": str(port),
        "WEB_CONCURRENCY": "2",
    }
    command = [resources.python, "-m", "gunicorn", "--config", "deploy/gunicorn.conf.py", "app.main:app"]
    log = tmp_path / "log"
    with (
        log.open("wb") as output,
        subprocess.Popen(command, cwd=project, env=environment, stdout=output, stderr=output) as server,
    ):
        try:
            wait_until_ready(server, port)
            with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as stream:
                stream.sendall(b"GET /api/v1/notes/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert stream.recv(65536).startswith(b"HTTP/1.1 200")
                server.send_signal(signal.SIGTERM)
                while stream.recv(65536):
                    pass
            assert server.wait(timeout=PATIENCE) == 0, log.read_text()
        finally:
            server.kill()


def wait_until_ready(server: subprocess.Popen[bytes], port: int) -> None:
    """Return when the server answers that it is ready."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
                assert answer.status == 200
                return
        except OSError:
            assert server.poll() is None, "the server has ended"
            assert time.monotonic() < deadline, "the server did not become ready"
            time.sleep(0.1)


def actions(workflows: Iterable[Path]) -> set[tuple[str, str, str]]:
    """Action, commit and version of every step that uses one."""
    lines = [
        line.strip()
        for path in workflows
        for line in path.read_text(encoding="utf-8").splitlines()
        if "uses:" in line and "uses: $/" not in line
    ]
    found = [PINNED.search(line) for line in lines]
    assert all(found), [line for line, match in zip(lines, found, strict=True) if not match]
    return {(match["action"], match["commit"], match["version"]) for match in found if match}
