"""The Kubernetes manifests, in every combination: valid, restricted, and with all required settings."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import kubernetes_validate
import pytest
import yaml

from tests.machinery import selection
from tests.machinery.databases import empty_database, query
from tests.machinery.deployment import containers, digest, documents, lint, load, pod, settings
from tests.machinery.environment import uv
from tests.machinery.recorded_programs import Recorder
from tests.machinery.rendering import render

if TYPE_CHECKING:
    from pathlib import Path

    from tests.machinery.questions import Questions
    from tests.machinery.resources import Resources
    from tests.machinery.warm import WarmProcess

SECRET = re.compile(r"--from-literal=([A-Z_]+)=")
#: What Gunicorn and the image read themselves.
GUNICORN = {"FORWARDED_ALLOW_IPS", "PORT", "WEB_CONCURRENCY"}
#: What the client of Ollama reads itself.
OLLAMA = {"OLLAMA_HOST"}
#: Kinds that only a cluster with KEDA knows.
KEDA = {"ScaledObject", "TriggerAuthentication"}
#: What checkov would rather have otherwise, and why it is so.
ACCEPTED = {
    "CKV_K8S_9": "workers and beat receive no requests, so there is nothing to be ready for",
    "CKV_K8S_11": "a limit of CPU slows a process down while the machine idles; requests share it fairly",
    "CKV_K8S_15": "a release names its image by digest, which never means another one",
    "CKV_K8S_35": "settings are read from the environment, by the classes that name them",
    "CKV_K8S_43": "the release names the digest; what is in the repository is the owner's first tag",
}


@pytest.fixture(scope="module")
def clusters(deployed: list[Path]) -> list[Path]:
    """The projects that have manifests, each set of manifests once."""
    found = {
        digest(project / "deploy/k8s"): project for project in deployed if (project / "deploy/k8s").is_dir()
    }
    assert found
    return list(found.values())


@pytest.fixture(scope="module")
def built(clusters: list[Path]) -> dict[str, list[dict[str, Any]]]:
    """What kustomize makes of every overlay, by its path."""
    return {
        str(overlay): list(yaml.safe_load_all(lint("kubectl", "kustomize", overlay)))
        for project in clusters
        for overlay in (project / "deploy/k8s/overlays").iterdir()
    }


def test_overlays_build_and_are_valid(built: dict[str, list[dict[str, Any]]]) -> None:
    """Patches match their targets, and every manifest is valid for the newest Kubernetes, without unknown fields."""
    valid: set[str] = set()
    for manifests in built.values():
        for manifest in manifests:
            if (text := repr(manifest)) not in valid:
                kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)
                valid.add(text)


def test_images_and_settings_are_named(built: dict[str, list[dict[str, Any]]]) -> None:
    """Every image has a name and a fixed tag; settings and secrets are references that exist."""
    for overlay, manifests in built.items():
        made = {item["metadata"]["name"] for item in manifests if item["kind"] == "ConfigMap"}
        seen = [container for manifest in manifests for container in containers(manifest)]
        assert seen
        for container in seen:
            assert re.fullmatch(r"registry\.example\.com/[\w-]+(:\d[\w.-]*|@sha256:\w+)", container["image"])
            sources = container["envFrom"]
            assert {item["configMapRef"]["name"] for item in sources if "configMapRef" in item} == made, (
                overlay
            )
            secrets = {item["secretRef"]["name"] for item in sources if "secretRef" in item}
            assert secrets <= {"app-secrets"}, overlay
        assert not [item for item in manifests if item["kind"] == "Secret"], overlay
        assert {item["metadata"].get("namespace") for item in manifests if item["kind"] != "Namespace"} == {
            manifest["metadata"]["name"] for manifest in manifests if manifest["kind"] == "Namespace"
        }


def test_every_file_is_listed(clusters: list[Path]) -> None:
    """Kustomizations list exactly the files next to them."""
    for project in clusters:
        for kustomization in (project / "deploy/k8s").rglob("kustomization.yaml"):
            listed = {name for name in load(kustomization)["resources"] if not name.startswith("..")}
            present = {path.name for path in kustomization.parent.glob("*.yaml")} - {kustomization.name}
            assert listed == present, kustomization


def test_pods_are_restricted(built: dict[str, list[dict[str, Any]]]) -> None:
    """Pods follow the restricted pod security standard, enforced by the namespace, and write only to volumes."""
    for overlay, manifests in built.items():
        for manifest in manifests:
            if manifest["kind"] == "Namespace":
                assert manifest["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
            spec = pod(manifest)
            if not spec:
                continue
            assert spec["securityContext"]["runAsNonRoot"], overlay
            assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, overlay
            assert spec["automountServiceAccountToken"] is False, overlay
            for container in containers(manifest):
                assert container["securityContext"] == {
                    "allowPrivilegeEscalation": False,
                    "capabilities": {"drop": ["ALL"]},
                    "readOnlyRootFilesystem": True,
                }, overlay
                assert container["resources"]["requests"].keys() == {"cpu", "memory"}, overlay
                assert "memory" in container["resources"]["limits"], overlay


def test_long_running_pods(built: dict[str, list[dict[str, Any]]]) -> None:
    """They have probes; replicated ones are spread, have a disruption budget, and are scaled or fixed in number."""
    for overlay, manifests in built.items():
        by_kind: dict[str, dict[str, Any]] = {}
        for manifest in manifests:
            by_kind.setdefault(manifest["kind"], {})[manifest["metadata"]["name"]] = manifest[
                "spec" if "spec" in manifest else "metadata"
            ]
        for name, spec in by_kind["Deployment"].items():
            for container in spec["template"]["spec"]["containers"]:
                assert "livenessProbe" in container, f"{overlay}: {name}"
            if spec.get("replicas") == 1:
                assert spec["strategy"] == {"type": "Recreate"}, f"{overlay}: {name}"
                continue
            assert len(spec["template"]["spec"]["topologySpreadConstraints"]) == 2, f"{overlay}: {name}"
            assert by_kind["PodDisruptionBudget"][name]["maxUnavailable"] == 1, f"{overlay}: {name}"
            scaled = by_kind["HorizontalPodAutoscaler"].get(name)
            assert (scaled is None) == ("replicas" in spec), f"{overlay}: {name}: one of them decides"
            if scaled:
                assert scaled["scaleTargetRef"]["name"] == name
        (api,) = by_kind["Deployment"]["api"]["template"]["spec"]["containers"][:1]
        assert api["readinessProbe"]["httpGet"]["path"] == "/readyz"
        assert api["livenessProbe"]["httpGet"]["path"] == api["startupProbe"]["httpGet"]["path"] == "/healthz"


def test_checkov_agrees(
    built: dict[str, list[dict[str, Any]]], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Checkov's policies find nothing, except documented exceptions."""
    if not selection.is_full(request.config):
        pytest.skip("runs with --full")
    for number, manifests in enumerate(built.values()):
        (tmp_path / f"{number}.yaml").write_text(yaml.safe_dump_all(manifests), encoding="utf-8")
    command = [uv(), "tool", "run", "--quiet", "--from", "checkov>=3.3.30,<4", "checkov", "--skip-download"]
    options = ["--framework", "kubernetes", "--output", "json", "--directory", str(tmp_path)]
    result = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    report = json.loads(result.stdout)
    assert report["summary"]["passed"] > 100
    assert report["summary"]["parsing_errors"] == 0
    found = {
        item["check_id"]: f"{item['check_name']}: {item['resource']}"
        for item in report["results"]["failed_checks"]
    }
    assert {key: text for key, text in found.items() if key not in ACCEPTED} == {}
    assert found.keys() == ACCEPTED.keys(), "what is accepted does occur"


def test_workers_follow_the_queue(
    clusters: list[Path], resources: Resources, warm: WarmProcess, questions: Questions, tmp_path: Path
) -> None:
    """With the component, only KEDA scales workers, with a query that works on the real schema."""
    project = next(path for path in clusters if (path / "deploy/k8s/components/queue-depth").is_dir())
    copy = tmp_path / "k8s"
    shutil.copytree(project / "deploy/k8s", copy)
    kustomization = copy / "overlays/staging/kustomization.yaml"
    text = kustomization.read_text(encoding="utf-8")
    kustomization.write_text(f"{text}\ncomponents:\n  - ../../components/queue-depth\n", encoding="utf-8")

    manifests = list(yaml.safe_load_all(lint("kubectl", "kustomize", copy / "overlays/staging")))

    scalers = [item for item in manifests if item["kind"] in {"HorizontalPodAutoscaler", "ScaledObject"}]
    scaled = [(item["metadata"]["name"], item["kind"]) for item in scalers]
    assert len(dict(scaled)) == len(scaled), "two would pull in different directions"
    assert {kind for name, kind in scaled if name != "worker"} == {"HorizontalPodAutoscaler"}
    assert dict(scaled)["worker"] == "ScaledObject"
    (queue,) = [
        trigger["metadata"]["query"]
        for item in scalers
        for trigger in item["spec"].get("triggers", [])
        if trigger["type"] == "postgresql"
    ]
    everything = {**dict.fromkeys(questions.toggles, True), "database": "postgresql"}
    migrated = render(resources.template, tmp_path / "project", everything)
    with empty_database("postgresql", resources.server, tmp_path) as url:
        environment = {"DATABASE_URL": url, "ENVIRONMENT": "test"}
        assert warm.run("alembic", "upgrade", "head", directory=migrated, environment=environment).status == 0
        assert query(url, queue) == [(0,)]


def test_variables_are_known(deployed: list[Path]) -> None:
    """Every variable set by Compose or the cluster is read; the cluster sets or requires those of Compose."""
    for project in deployed:
        known = settings(project) | GUNICORN | OLLAMA
        compose = load(project / "compose.yaml")
        application = compose["x-app"]["build"]
        for name, service in compose["services"].items():
            if service.get("build") == application:
                assert service["environment"].keys() <= known, f"{project.name}: {name}"
        base = project / "deploy/k8s/base"
        if not base.is_dir():
            continue
        comment = (base / "kustomization.yaml").read_text(encoding="utf-8")
        secrets = set(SECRET.findall(comment))
        # What an overlay may set is told there, since overlays are the owner's.
        offered = set(re.findall(r"^# ([A-Z][A-Z_]+)=", comment, re.MULTILINE))
        assert secrets | offered <= known, project.name
        given = {
            item["name"]
            for manifest in documents(base.glob("*.yaml"))
            for container in containers(manifest)
            for item in container.get("env", [])
        }
        assert given <= known, project.name
        image = set(re.findall(r"\b([A-Z][A-Z_]+)=", (project / "Dockerfile").read_text(encoding="utf-8")))
        for overlay in base.parent.glob("overlays/*/settings.env"):
            named = set(
                re.findall(r"^(?:# )?([A-Z][A-Z_]+)=", overlay.read_text(encoding="utf-8"), re.MULTILINE)
            )
            assert named <= known, overlay
            assert compose["x-app"]["environment"].keys() <= named | secrets | offered | given | image, (
                overlay
            )


def test_required_settings(clusters: list[Path]) -> None:
    """Settings without which a deployed application does not start are required in the manifests."""
    for project in clusters:
        example = (project / ".env.example").read_text(encoding="utf-8")
        required = set(
            re.findall(r"(?i)must be set in staging[^\n]*\n(?:# [^A-Z][^\n]*\n)*# ([A-Z_]+)=", example)
        )
        assert "DATABASE_URL" in required
        comment = (project / "deploy/k8s/base/kustomization.yaml").read_text(encoding="utf-8")
        image = (project / "Dockerfile").read_text(encoding="utf-8")
        for overlay in (project / "deploy/k8s/overlays").iterdir():
            text = comment + image + (overlay / "settings.env").read_text(encoding="utf-8")
            assert [name for name in required if not re.search(rf"\b{name}\b", text)] == [], overlay


def test_a_release_migrates_first(clusters: list[Path], tmp_path: Path) -> None:
    """The script migrates before anything else changes, and stops if that fails. A recorder replaces kubectl."""
    project = next(path for path in clusters if path.name.startswith("postgresql"))
    script = ["sh", str(project / "deploy/k8s/base/rollout.sh"), "staging"]
    kubectl = Recorder(tmp_path / "good", "kubectl")

    assert kubectl.run(*script).returncode == 0

    words = [" ".join(call) for call in kubectl.calls]
    expected = [
        "apply --filename",
        "delete job migrate",
        "apply --kustomize",
        "wait job/migrate",
        "apply --kustomize",
        "rollout status",
    ]
    assert len(words) == len(expected)
    assert all(call.startswith(start) for call, start in zip(words, expected, strict=True)), words
    assert "--selector app.kubernetes.io/component notin (api" in words[2]
    assert "--selector" not in words[4]

    kubectl = Recorder(tmp_path / "bad", "kubectl", {"wait": (1, ""), "get": (0, "BackoffLimitExceeded")})
    failed = kubectl.run(*script)
    assert failed.returncode == 1
    assert "The migration failed (BackoffLimitExceeded)" in failed.stderr
    assert [call[0] for call in kubectl.calls] == ["apply", "delete", "apply", "wait", "get", "logs"]
