"""A project with every feature, in several processes that report to a collector, under load."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.machinery.rendering import ROOT
from tests.machinery.serving import PATIENCE, free_port, request

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from pathlib import Path

PASSWORD = "correct horse battery staple"  # noqa: S105 - for a minute
DATA = ROOT / "tests" / "data" / "telemetry"
SECONDS = 8
#: The processes that report: two servers, a worker's child process, and beat.
PROCESSES = 4


def receiver() -> Any:  # noqa: ANN401 - a module of the template
    """Return the collector of rendered projects' tests, as a module."""
    path = ROOT / "template/keel/tests/otel/receiver.py"
    spec = importlib.util.spec_from_file_location("receiver", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@dataclass(frozen=True)
class Observed:
    """The data that the collector received, and the traces that callers began."""

    collector: Any
    traces: Mapping[str, str]
    statuses: list[int]

    def spans(self, name: str) -> list[Any]:
        """Return the spans of a caller's trace."""
        return self.collector.spans(self.traces[name])

    def processes(self, name: str) -> set[str]:
        """Return the processes that take part in a caller's trace."""
        return {str(instance) for instance in self.collector.processes(self.traces[name])}


def observe(project: Path, python: Path, redis: str, place: Path) -> Observed:
    """Run servers, a worker and beat; send requests for some seconds; stop them as an orchestrator does."""
    _add_harbour(project)
    with receiver().Receiver() as collector:
        environment = {
            "PATH": f"{python.parent}{os.pathsep}{os.defpath}",
            "ENV_FILE": "",
            "ENVIRONMENT": "test",
            "DATABASE_URL": f"sqlite+aiosqlite:///{place}/app.db",
            "REDIS_URL": redis,
            "REDIS_PREFIX": f"observed-{os.getpid()}:",
            "CELERY_BROKER_URL": redis,
            "CELERY_QUEUE": f"observed-{os.getpid()}",
            "CELERY_CONCURRENCY": "1",
            "CELERY_MAX_CONCURRENT_EXPORTS": "1000",
            "GRPC_PORT": str(free_port()),
            "RATE_LIMIT": "300/minute; 100000/hour",
            "LLM_EMBEDDED_SECONDS": "0.001",
            "LLM_ATTEMPTS": "1",
            "LLM_BREAKER_FAILURES": "100000",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_METRIC_EXPORT_INTERVAL": "1000",
            # Longer than the run: everything that arrives was sent when the process ended.
            "OTEL_BSP_SCHEDULE_DELAY": "600000",
            "OTEL_BLRP_SCHEDULE_DELAY": "600000",
            "OTEL_BSP_MAX_QUEUE_SIZE": "100000",
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "100000",
        }
        app = [str(python), "-m", "app"]
        _run([*app, "migrate"], project, environment)
        admin = ["auth", "create-admin", "owner@example.com", "--password", PASSWORD]
        _run([*app, *admin], project, environment)
        with _processes(project, python, environment, place) as addresses:
            rpc = f"127.0.0.1:{environment['GRPC_PORT']}"
            traffic = [str(python), str(DATA / "traffic.py"), *addresses, rpc, PASSWORD, str(SECONDS)]
            printed = _run(traffic, project, environment)
            _hear_more(collector)
        told = json.loads(printed.splitlines()[-1])
        return Observed(collector, told, told["statuses"])


def _hear_more(collector: Any) -> None:  # noqa: ANN401 - a module of the template
    """Wait until each running process has reported its metrics twice more."""
    before, deadline = _reports(collector), time.monotonic() + PATIENCE
    while True:
        now = _reports(collector)
        if sum(now[each] >= before[each] + 2 for each in now) >= PROCESSES:
            return
        assert time.monotonic() < deadline, (before, now)
        time.sleep(0.2)


def _reports(collector: Any) -> Counter[str]:  # noqa: ANN401 - a module of the template
    """Return how often each process has reported its metrics."""
    return Counter(
        about["service.instance.id"]
        for about, metric in collector.reports()
        if metric.name == "process.cpu.time"
    )


def _add_harbour(project: Path) -> None:
    """Add an owner's package."""
    package = project / "app" / "harbour"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "plugin.py").write_bytes((DATA / "harbour.py").read_bytes())


@contextlib.contextmanager
def _processes(project: Path, python: Path, environment: dict[str, str], place: Path) -> Generator[list[str]]:
    """Run two HTTP servers, one gRPC server, a worker and beat; yield the first two addresses once they answer."""
    ports = [free_port(), free_port()]
    server = [str(python), "-m", "uvicorn", "app.main:app", "--host", "127.0.0.1", "--port"]
    worker = [str(python), "-m", "app", "celery"]
    commands = [[*server, str(port)] for port in ports] + [worker, [*worker, "beat"], [*worker[:-1], "grpc"]]
    # The second server's model is unreachable.
    lost = {"LLM_MODEL": "ollama:llama3.2", "LLM_BASE_URL": f"http://127.0.0.1:{free_port()}"}
    running: list[subprocess.Popen[bytes]] = []
    log = place / "log"
    try:
        with log.open("wb") as output:
            running += [
                subprocess.Popen(
                    command,
                    cwd=project,
                    env=environment | (lost if command[-1] == str(ports[1]) else {}),
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
                for command in commands
            ]
        addresses = [f"http://127.0.0.1:{port}" for port in ports]
        deadline = time.monotonic() + PATIENCE
        for address in addresses:
            while not _ready(address):
                assert time.monotonic() < deadline, log.read_text(errors="replace")[-4000:]
                time.sleep(0.1)
        yield addresses
        for process in running:
            process.send_signal(signal.SIGTERM)
        for process in running:
            process.wait(PATIENCE)
    finally:
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _ready(address: str) -> bool:
    try:
        return request("GET", f"{address}/readyz")[0] == 200  # noqa: PLR2004 - HTTP
    except OSError:
        return False


def _run(command: list[str], project: Path, environment: dict[str, str]) -> str:
    result = subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, check=False, timeout=600
    )
    assert result.returncode == 0, f"{result.stdout[-3000:]}{result.stderr[-3000:]}"
    return result.stdout
