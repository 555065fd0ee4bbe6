"""Containers without an engine: runc, the runtime that engines use, on images built by buildah.

They are restricted as in compose.yaml: a read-only root, no capabilities, nothing writable but /tmp and the volume.
They use the host's network, without resource limits.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from itertools import count
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

_STOP_SECONDS = 60
_numbers = count()


class Container:
    """A running container."""

    def __init__(self, name: str, runc: list[str], process: subprocess.Popen[bytes], log: Path) -> None:
        """Take its name, runc's command line, the process that waits for its end, and its log file."""
        self._name = name
        self._runc = runc
        self.process = process
        self._log = log

    @property
    def log(self) -> str:
        """Its output so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def execute(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run another command inside, as its user and with its variables."""
        line = [*self._runc, "exec", self._name, *command]
        return subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)

    def stop(self) -> int:
        """Send SIGTERM to its first process, as engines do; return its exit status."""
        subprocess.run([*self._runc, "kill", self._name, "SIGTERM"], check=True, capture_output=True)
        return self.process.wait(_STOP_SECONDS)


class Containers:
    """Creates containers of one image."""

    def __init__(
        self, place: Path, root: Path, image: dict[str, Any], volume: Path, *, writable: bool = False
    ) -> None:
        """Take a folder for state, the image's mounted root and its configuration, and the folder to mount as /data."""
        self._writable = writable
        self._place = place
        self._root = root
        self._image = image
        self._volume = volume
        self._runc = ["runc", f"--root={place / 'state'}"]
        place.mkdir()
        user, group = (int(number) for number in str(image["User"]).split(":"))
        self._user = {"uid": user, "gid": group}
        volume.mkdir(exist_ok=True)
        # A new volume has the owner of the directory that it is mounted on.
        subprocess.run(["chown", image["User"], str(volume)], check=True)

    @contextlib.contextmanager
    def started(self, *command: str, **variables: str) -> Generator[Container]:
        """Yield a container that runs a command; remove it at the end."""
        name = f"keel-{next(_numbers)}"
        bundle = self._place / name
        bundle.mkdir()
        subprocess.run(["runc", "spec"], cwd=bundle, check=True, capture_output=True)
        config = bundle / "config.json"
        config.write_text(json.dumps(self._config(config, command, variables)), encoding="utf-8")
        log = bundle / "log"
        line = [*self._runc, "run", f"--bundle={bundle}", name]
        with log.open("wb") as output:
            process = subprocess.Popen(
                line, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        try:
            yield Container(name, self._runc, process, log)
        finally:
            subprocess.run([*self._runc, "delete", "--force", name], check=False, capture_output=True)
            process.kill()
            process.wait()

    def run(self, *command: str, **variables: str) -> tuple[int, str]:
        """Run a command in a new container to its end; return its exit status and output."""
        with self.started(*command, **variables) as container:
            return container.process.wait(120), container.log

    def _config(self, spec: Path, command: tuple[str, ...], variables: dict[str, str]) -> dict[str, Any]:
        config: dict[str, Any] = json.loads(spec.read_text(encoding="utf-8"))
        config["process"] |= {
            "terminal": False,
            "user": self._user,
            "args": list(command),
            "env": [*self._image["Env"], *(f"{key}={value}" for key, value in variables.items())],
            "cwd": self._image["WorkingDir"],
            "capabilities": {},
            "noNewPrivileges": True,
        }
        config["root"] = {"path": str(self._root), "readonly": not self._writable}
        mounts = [mount for mount in config["mounts"] if mount["destination"] != "/sys/fs/cgroup"]
        mounts.append({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["mode=1777"]})  # noqa: S108 - inside
        if (self._root / "data").is_dir():
            bind = {"type": "bind", "source": str(self._volume), "options": ["bind", "rw"]}
            mounts.append({"destination": "/data", **bind})
        config["mounts"] = mounts
        linux = config["linux"]
        linux.pop("resources", None)
        linux["namespaces"] = [item for item in linux["namespaces"] if item["type"] != "network"]
        return config


def until(container: Container, happened: Any, seconds: float = 60) -> None:  # noqa: ANN401 - a question
    """Wait until a condition that the container should bring about is true."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert container.process.poll() is None, container.log
        assert time.monotonic() < deadline, container.log
        time.sleep(0.1)
