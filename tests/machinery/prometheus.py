"""A real Prometheus, if installed: loaded with exported metrics, and queried."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING, Any

from tests.machinery.serving import PATIENCE, free_port

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path


def installed() -> bool:
    """Whether Prometheus and promtool are installed."""
    return all(shutil.which(name) for name in ("prometheus", "promtool"))


class Prometheus:
    """A server for queries at one time."""

    def __init__(self, address: str, moment: float) -> None:
        """Query this address at this Unix time."""
        self._address = address
        self._moment = moment

    def ask(self, query: str) -> list[dict[str, Any]]:
        """Return the samples of an instant query; raise ValueError with Prometheus's message if it is not valid."""
        return self._get("query", query=query, time=self._moment)

    def range(self, query: str, seconds: float, step: float) -> list[dict[str, Any]]:
        """Return the series of the last `seconds`."""
        return self._get(
            "query_range", query=query, start=self._moment - seconds, end=self._moment, step=step
        )

    def _get(self, path: str, **parameters: object) -> list[dict[str, Any]]:
        url = f"{self._address}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE) as answer:  # noqa: S310 - loopback
                return json.load(answer)["data"]["result"]
        except urllib.error.HTTPError as error:
            with error:
                raise ValueError(f"{parameters['query']}: {error.read().decode()}") from None


@contextlib.contextmanager
def filled(exposition: str, moment: float, place: Path) -> Generator[Prometheus]:
    """Yield a server on loopback that contains these samples (OpenMetrics text)."""
    samples = place / "samples.txt"
    samples.write_text(exposition, encoding="utf-8")
    promtool("tsdb", "create-blocks-from", "openmetrics", str(samples), str(place / "data"))
    (place / "prometheus.yml").write_text("global: {}\n", encoding="utf-8")
    port = free_port()
    command = [
        "prometheus",
        f"--config.file={place / 'prometheus.yml'}",
        f"--storage.tsdb.path={place / 'data'}",
        "--storage.tsdb.retention.time=10y",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (
        (place / "log").open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=log) as process,
    ):
        try:
            server = Prometheus(f"http://127.0.0.1:{port}", moment)
            deadline = time.monotonic() + PATIENCE
            while True:
                try:
                    server.ask("vector(1)")
                    break
                except (OSError, ValueError):
                    assert process.poll() is None, (place / "log").read_text()
                    assert time.monotonic() < deadline, (place / "log").read_text()
                    time.sleep(0.1)
            yield server
        finally:
            process.terminate()


def promtool(*arguments: str) -> str:
    """Run promtool; return its output."""
    result = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"{result.stdout[-3000:]}{result.stderr[-3000:]}"
    return result.stdout
