"""The standard health service (grpc.health.v1), fed by the checks that `/readyz` runs."""

import asyncio
import tempfile
from collections.abc import AsyncGenerator, Generator, Iterable
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from keel.background.asyncio_tasks import spawn, stop
from keel.grpc.scopes import Context
from keel.web.health import Checks

LIVENESS = "liveness"
"""The name of a service that is healthy as long as the process runs; restart it if this does not answer."""


def probes(port: int) -> str:
    """Return where on this machine a server that listens on a port tells of its health."""
    return f"unix:{Path(tempfile.gettempdir()) / f'rpc-{port}.sock'}"


def is_healthy(port: int, seconds: float = 5.0) -> bool:
    """Whether the server on this machine that listens on a port is ready."""
    with grpc.insecure_channel(probes(port)) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=seconds)
        except grpc.RpcError:
            return False
    return answer.status == Response.SERVING


Response = health_pb2.HealthCheckResponse


class Health(health_pb2_grpc.HealthServicer):
    """Tells the last outcome of the checks, for all services alike. Probes cost nothing, however many there are."""

    def __init__(self, checks: Checks, services: Iterable[str]) -> None:
        """Speak for these services, and for the server, whose name is empty."""
        self._checks = checks
        self._services = frozenset({"", *services})
        self._ready = False
        self._leaving = False
        self._ended = False
        self._news = asyncio.Event()
        self._watchers = 0
        self._unwatched = asyncio.Event()
        self._unwatched.set()

    def add_to(self, server: grpc.aio.Server) -> str:
        """Serve; return the service's full name."""
        health_pb2_grpc.add_HealthServicer_to_server(self, server)
        return health_pb2.DESCRIPTOR.services_by_name["Health"].full_name

    async def look(self) -> None:
        """Run the checks."""
        self._tell(ready=not self._checks.fatal(await self._checks.run()))

    @asynccontextmanager
    async def kept(self, seconds: float) -> AsyncGenerator[None]:
        """Run the checks now, and again after each pause, until the block ends."""
        await self.look()
        looking = spawn(self._keep(seconds))
        try:
            yield
        finally:
            await stop(looking)

    async def leave(self, seconds: float) -> None:
        """Say for good that nothing more should be sent here; return after so long, or as soon as nobody watches."""
        self._leaving = True
        self._tell(ready=False)
        try:
            async with asyncio.timeout(seconds):
                await self._unwatched.wait()
        except TimeoutError:
            # They have heard of it. Whether they have acted on it, nobody can know.
            return

    def end(self) -> None:
        """Say so, and let those who watch go."""
        self._leaving = self._ended = True
        self._tell(ready=False)

    async def Check(self, request: health_pb2.HealthCheckRequest, context: Context) -> Response:  # noqa: N802 - the protocol's name
        """Return how a service is."""
        status = self._status(request.service)
        if status == Response.SERVICE_UNKNOWN:
            await context.abort(grpc.StatusCode.NOT_FOUND, "There is no service of this name.")
        return Response(status=status)

    async def Watch(  # noqa: N802 - the protocol's name
        self,
        request: health_pb2.HealthCheckRequest,
        context: Context,  # noqa: ARG002 - as gRPC calls it
    ) -> AsyncGenerator[Response]:
        """Tell how a service is, at once and whenever that changes."""
        told = None
        with self._counted():
            while True:
                # All at one moment, since telling takes a while.
                news, ended, status = self._news, self._ended, self._status(request.service)
                if status != told:
                    told = status
                    yield Response(status=status)
                if ended:
                    return
                await news.wait()

    @contextmanager
    def _counted(self) -> Generator[None]:
        self._watchers += 1
        self._unwatched.clear()
        try:
            yield
        finally:
            self._watchers -= 1
            if not self._watchers:
                self._unwatched.set()

    def _status(self, service: str) -> Response.ServingStatus:
        if service == LIVENESS:
            return Response.SERVING
        if service not in self._services:
            return Response.SERVICE_UNKNOWN
        return Response.SERVING if self._ready else Response.NOT_SERVING

    def _tell(self, *, ready: bool) -> None:
        self._ready = ready and not self._leaving
        self._news.set()
        self._news = asyncio.Event()

    async def _keep(self, seconds: float) -> None:
        while True:
            await asyncio.sleep(seconds)
            await self.look()
