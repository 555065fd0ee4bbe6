"""The rendered project as in production: two Gunicorns and gRPC servers, what works behind them, and their servers."""

from __future__ import annotations

import os
import re
import secrets
import signal
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.request import urlopen

import grpc
import psutil
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.proof import events
from tests.proof.servers import Group, PostgreSQL, RabbitMQ, Running, Valkey, free_port

if TYPE_CHECKING:
    from pathlib import Path

PASSWORD = secrets.token_urlsafe(16)
ACCOUNTS = ("anna@example.com", "ben@example.com", "cleo@example.com")


class Role(Running):
    """A process of the project."""

    def __init__(self, name: str, project: Path, settings: dict[str, str], *command: str) -> None:
        """Be ready to start."""
        super().__init__(name, project)
        self._command = list(command)
        self._settings = settings
        self._said = 0

    def command(self) -> list[str]:
        """The role's."""
        self._said = self.log.stat().st_size if self.log.exists() else 0
        return self._command

    def environment(self) -> dict[str, str]:
        """The settings and nothing else of ours."""
        place = self.folder / f"tmp-{self.name}"
        place.mkdir(exist_ok=True)
        return {"PATH": os.environ["PATH"], "HOME": str(place), "TMPDIR": str(place), **self._settings}

    def said(self, pattern: str) -> int:
        """Return how often its log has said something since it was started."""
        with self.log.open("rb") as log:
            log.seek(self._said)
            return len(re.findall(pattern.encode(), log.read()))

    async def is_ready(self) -> bool:
        """A worker or beat shows a sign of life in a file."""
        return bool(self.said(r"ready\.")) if self.name == "worker" else self.said("beat: Starting") > 0

    @property
    def family(self) -> list[psutil.Process]:
        """The process and its children."""
        try:
            parent = psutil.Process(self.process.pid)
            return [parent, *parent.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []


class Api(Role):
    """Gunicorn with two workers."""

    def __init__(self, name: str, project: Path, python: Path, settings: dict[str, str]) -> None:
        """Be ready to start."""
        self.port = free_port()
        more = {"PORT": str(self.port), "WEB_CONCURRENCY": "2"}
        command = (str(python), "-m", "gunicorn", "--config", "deploy/gunicorn.conf.py", "app.main:app")
        super().__init__(name, project, {**settings, **more}, *command)

    async def is_ready(self) -> bool:
        """Whether both workers serve."""
        return self.said("Application startup complete") >= 2  # its workers

    def reload(self) -> None:
        """Ask for new workers."""
        self.process.send_signal(signal.SIGHUP)

    def answers(self, path: str) -> bool:
        """Return whether it answers with success."""
        try:
            with urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


class GrpcServer(Role):
    """A server of gRPC; on loopback it needs no certificate."""

    def __init__(self, name: str, project: Path, python: Path, settings: dict[str, str]) -> None:
        """Be ready to start."""
        self.port = free_port()
        super().__init__(
            name, project, {**settings, "GRPC_PORT": str(self.port)}, str(python), "-m", "app", "grpc"
        )

    async def is_ready(self) -> bool:
        """Whether it serves."""
        return self.said("grpc_serving") > 0

    def is_healthy(self) -> bool:
        """Return whether it says so, by the standard health service."""
        options = [("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1)]
        with grpc.insecure_channel(f"127.0.0.1:{self.port}", options) as channel:
            try:
                answer = health_pb2_grpc.HealthStub(channel).Check(
                    health_pb2.HealthCheckRequest(), timeout=5, wait_for_ready=True
                )
            except grpc.RpcError:
                return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


class EventRole(Role):
    """A relay or a consumer of events."""

    async def is_ready(self) -> bool:
        """Whether it has shown a sign of life since it was started."""
        heartbeat = self.folder / f"tmp-{self.name}" / "kafka-heartbeat"
        return (
            heartbeat.exists() and heartbeat.stat().st_mtime > psutil.Process(self.process.pid).create_time()
        )


@dataclass
class System:
    """Everything that runs."""

    project: Path
    python: Path
    group: Group
    broker_name: str
    settings: dict[str, str] = field(init=False)

    async def start(self) -> None:
        """Start the servers, migrate, make the accounts, start the project's processes."""
        place = self.project.parent / "servers"
        place.mkdir()
        place.chmod(0o755)
        self.postgresql = PostgreSQL(place)
        program = Valkey.program(self.python)
        self.redis = Valkey(
            "redis", place, program, "--maxmemory", "192mb", "--maxmemory-policy", "volatile-lru"
        )
        self.broker: RabbitMQ | Valkey = (
            RabbitMQ(place) if self.broker_name == "rabbitmq" else Valkey("broker", place, program)
        )
        self.cluster = events.Cluster(self.python, place)
        for server in (self.postgresql, self.redis, self.broker, self.cluster):
            self.group.append(server)
            await server.start()
        self.settings = {
            "ENVIRONMENT": "production",
            "ALLOWED_HOSTS": "127.0.0.1",
            "DATABASE_URL": self.postgresql.url,
            "REDIS_URL": self.redis.url,
            "CELERY_BROKER_URL": self.broker.url,
            "CELERY_LEASE": "5",
            "LLM_LEASE": "5",
            "LLM_MODEL": "keel.llm.model.embedded.EmbeddedModel:embedded",
            "LLM_EMBEDDED_SECONDS": "0.01",
            "LLM_TOKENS_PER_DAY": "0",
            "AUTH_SIGNING_KEYS": secrets.token_urlsafe(32),
            "AUTH_PUBLIC_URL": "http://127.0.0.1",
            "RATE_LIMIT": "",
            "WEBSOCKETS_MESSAGE_RATE": "",
            "MAIL_URL": "smtp://127.0.0.1:9",
            "MAIL_SENDER": "proof@example.com",
            "KAFKA_BOOTSTRAP_SERVERS": self.cluster.servers,
            **events.SETTINGS,
        }
        self.run("migrate")
        for account in ACCOUNTS:
            self.run("auth", "create-admin", account, "--password", PASSWORD)
        self.apis = [Api(f"api-{number}", self.project, self.python, self.settings) for number in (1, 2)]
        self.grpc_servers = [
            GrpcServer(f"grpc-{number}", self.project, self.python, self.settings) for number in (1, 2)
        ]
        module = (str(self.python), "-m", "app", "celery")
        # A title takes a second, so that the worker can be killed while it makes one.
        slow = {**self.settings, "LLM_EMBEDDED_SECONDS": "0.25"}
        self.worker = Role("worker", self.project, slow, *module, "--concurrency", "2")
        self.beat = Role("beat", self.project, self.settings, *module, "beat")
        relay = (str(self.python), "-m", "app", "kafka", "relay")
        consumer = (str(self.python), str(events.PROGRAM), "consume")
        found = {"PYTHONPATH": str(self.project)}
        self.relays = [EventRole(f"relay-{number}", self.project, self.settings, *relay) for number in (1, 2)]
        self.consumers = [
            EventRole(f"consumer-{number}", self.project, {**self.settings, **found}, *consumer)
            for number in (1, 2)
        ]
        for role in self.roles:
            self.group.append(role)
            await role.start()

    @property
    def roles(self) -> list[Role]:
        """The project's own processes."""
        return [*self.apis, *self.grpc_servers, self.worker, self.beat, *self.relays, *self.consumers]

    def run(self, *arguments: str) -> str:
        """Run a command of the operator's."""
        environment = {"PATH": os.environ["PATH"], **self.settings}
        command = [str(self.python), "-m", "app", *arguments]
        done = subprocess.run(
            command, cwd=self.project, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(f"{arguments} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done.stdout

    def memory(self) -> dict[str, float]:
        """Return what each role's processes have in memory, in MiB; pages that they share count for each."""
        found: dict[str, float] = {}
        for role in self.roles:
            sizes: list[int] = []
            for process in role.family:
                try:
                    sizes.append(process.memory_info().rss)
                except psutil.NoSuchProcess:
                    continue
            # The largest: how many there are varies while some are replaced.
            found[role.name] = max(sizes, default=0) / 2**20
        return found
