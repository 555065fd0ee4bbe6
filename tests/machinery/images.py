"""Images without a container engine: the real Dockerfile, built by buildah in a chroot.

The base images are not available from a container registry everywhere. A Debian made by debootstrap, with a Python of
the same version, and the `uv` of this environment replace them. Every instruction of the Dockerfile is executed as
written, except `--start-interval`, which older versions of buildah refuse.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.machinery.rendering import ROOT

if TYPE_CHECKING:
    from collections.abc import Generator

PROGRAMS = ("buildah", "debootstrap", "runc")
#: The variable that names the Debian mirror to use if apt's sources name none.
MIRROR = "DEBIAN_MIRROR"

_SUITE = "trixie"
_DEBIAN = ROOT / ".cache" / f"debian-{_SUITE}"
_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"


def missing() -> str:
    """Return why no image can be built here; empty if one can."""
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    if absent:
        return f"{', '.join(absent)} not installed"
    if os.geteuid() != 0:
        return "debootstrap needs root"
    return "" if _is_made() or mirror() else f"apt's sources have no Debian mirror; set {MIRROR}"


def mirror() -> str:
    """Return the Debian mirror: from the environment, else the one of this machine's apt."""
    if given := os.environ.get(MIRROR):
        return given
    if shutil.which("apt-get") is None:
        return ""
    listed = ["apt-get", "indextargets", "--format", "$(LABEL) $(REPO_URI)", "Created-By: Packages"]
    result = subprocess.run(listed, capture_output=True, text=True, check=False)
    found = re.search(r"^Debian (\S+)$", result.stdout, re.MULTILINE)
    return str(found[1]) if found else ""


class Builder:
    """Builds images in a separate directory."""

    def __init__(self, place: Path, uv: Path) -> None:
        """Keep everything below `place`; `uv` is the binary that builds use."""
        self._place = place
        self._uv = uv

    def buildah(self, *arguments: str, timeout: float = 600) -> str:
        """Run buildah and return its output; raise AssertionError with it on failure."""
        place = ("--root", f"{self._place}/root", "--runroot", f"{self._place}/run")
        result = subprocess.run(
            ["buildah", *place, *arguments],
            env={**os.environ, "BUILDAH_ISOLATION": "chroot"},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert result.returncode == 0, (
            f"buildah {' '.join(arguments)}:\n{(result.stdout + result.stderr)[-4000:]}"
        )
        return result.stdout.strip()

    def bases(self, dockerfile: str) -> None:
        """Create replacements of the base images that a Dockerfile names."""
        (python,) = set(re.findall(r"^FROM (python:\S+)", dockerfile, re.MULTILINE))
        (uv,) = re.findall(r"COPY --from=(\S+/uv:\S+)", dockerfile)
        version = python.removeprefix("python:").partition("-")[0]
        debian = _debian()
        assert (debian / "usr" / "bin" / f"python{version}").exists(), (
            f"{_SUITE} has a Python other than {python}"
        )
        with self._from_scratch(f"docker.io/library/{python}", PATH="/usr/local/bin:/usr/bin:/bin") as root:
            # It contains device nodes: reading files would never end at /dev/zero.
            subprocess.run(["cp", "--archive", f"{debian}/.", root], check=True)
            (root / "usr/local/bin/python").symlink_to("../../bin/python3")
            if bundle := os.environ.get("SSL_CERT_FILE"):
                shutil.copy(bundle, root / _CERTIFICATES.lstrip("/"))
        with self._from_scratch(uv) as root:
            shutil.copy(self._uv, root / "uv")

    @contextlib.contextmanager
    def _from_scratch(self, name: str, **variables: str) -> Generator[Path]:
        container = self.buildah("from", "scratch")
        yield Path(self.buildah("mount", container))
        self.buildah("umount", container)
        for variable, value in {**variables, "SSL_CERT_FILE": _CERTIFICATES}.items():
            self.buildah("config", "--env", f"{variable}={value}", container)
        self.buildah("commit", "--quiet", "--rm", container, name)

    def build(self, project: Path, name: str, **arguments: str) -> dict[str, Any]:
        """Build a project's image; return its configuration."""
        dockerfile = project / "Dockerfile"
        text = dockerfile.read_text(encoding="utf-8").replace(" --start-interval=1s", "")
        accepted = project.parent / f"{project.name}.Dockerfile"
        accepted.write_text(text, encoding="utf-8")
        given = [f"--build-arg={key}={value}" for key, value in arguments.items()]
        options = ("--isolation=chroot", "--pull=never", "--format=docker", "--layers")
        self.buildah("build", *options, *given, f"--file={accepted}", f"--tag={name}", str(project))
        inspected = json.loads(self.buildah("inspect", "--type=image", name))
        configuration: dict[str, Any] = inspected["Docker"]["config"]
        return configuration

    @contextlib.contextmanager
    def mounted(self, image: str) -> Generator[Path]:
        """Yield the root of an image as a directory."""
        container = self.buildah("from", "--pull=never", image)
        yield Path(self.buildah("mount", container))
        self.buildah("rm", container)

    def remove(self) -> None:
        """Remove every container and image."""
        self.buildah("rm", "--all")
        self.buildah("rmi", "--all", "--force")
        shutil.rmtree(self._place, ignore_errors=True)


def _is_made() -> bool:
    return (_DEBIAN / "usr/bin/python3").exists()


def _debian() -> Path:
    """Return a minimal Debian with Python, built once for this checkout."""
    if not _is_made():
        unfinished = _DEBIAN.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.parent.mkdir(exist_ok=True)
        packages = "--include=python3,python3-venv,ca-certificates"
        command = ["debootstrap", "--variant=minbase", packages, _SUITE, str(unfinished), mirror()]
        result = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        assert result.returncode == 0, result.stdout[-2000:]
        unfinished.rename(_DEBIAN)
    return _DEBIAN
