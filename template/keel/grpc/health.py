"""The standard health service (grpc.health.v1), with the checks of `/readyz`."""

import asyncio
import tempfile
from collections.abc import AsyncGenerator, Generator, Iterable
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from keel.background.asyncio_tasks import spawn, stop
from keel.grpc.asgi_scope import Context
from keel.web.health import Checks

LIVENESS = "liveness"
"""A service name that is healthy as long as the process runs, for liveness probes."""


def probes(port: int) -> str:
    """Return the local address of the health service of a server that listens on a port."""
    return f"unix:{Path(tempfile.gettempdir()) / f'grpc-{port}.sock'}"


def is_healthy(port: int, seconds: float = 5.0) -> bool:
    """Whether the server on a port of this machine is ready."""
    with grpc.insecure_channel(probes(port)) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=seconds)
        except grpc.RpcError:
            return False
    return answer.status == Response.SERVING


Response = health_pb2.HealthCheckResponse


class Health(health_pb2_grpc.HealthServicer):
    """Answers with the latest outcome of the checks, the same for all services: probes do not run checks."""

    def __init__(self, checks: Checks, services: Iterable[str]) -> None:
        """Take the full names of the services; the server itself has an empty name."""
        self._checks = checks
        self._services = frozenset({"", *services})
        self._ready = False
        self._draining = False
        self._ended = False
        self._changed = asyncio.Event()
        self._watchers = 0
        self._unwatched = asyncio.Event()
        self._unwatched.set()

    def add_to(self, server: grpc.aio.Server) -> str:
        """Add the service to a server; return its full name."""
        health_pb2_grpc.add_HealthServicer_to_server(self, server)
        return health_pb2.DESCRIPTOR.services_by_name["Health"].full_name

    async def check(self) -> None:
        """Run the checks."""
        self._set(ready=not self._checks.fatal(await self._checks.run()))

    @asynccontextmanager
    async def checking(self, seconds: float) -> AsyncGenerator[None]:
        """Run the checks now, and again every `seconds` while the block runs."""
        await self.check()
        task = spawn(self._check_every(seconds))
        try:
            yield
        finally:
            await stop(task)

    async def drain(self, seconds: float) -> None:
        """Be NOT_SERVING from now on; return after `seconds`, or as soon as there are no watchers."""
        self._draining = True
        self._set(ready=False)
        try:
            async with asyncio.timeout(seconds):
                await self._unwatched.wait()
        except TimeoutError:
            # They were notified; whether they have reconnected is unknown.
            return

    def end(self) -> None:
        """Be NOT_SERVING, and end the streams of watchers."""
        self._draining = self._ended = True
        self._set(ready=False)

    async def Check(self, request: health_pb2.HealthCheckRequest, context: Context) -> Response:  # noqa: N802 - the protocol's name
        """Return the status of a service."""
        status = self._status(request.service)
        if status == Response.SERVICE_UNKNOWN:
            await context.abort(grpc.StatusCode.NOT_FOUND, "Unknown service.")
        return Response(status=status)

    async def Watch(  # noqa: N802 - the protocol's name
        self,
        request: health_pb2.HealthCheckRequest,
        context: Context,  # noqa: ARG002 - as gRPC calls it
    ) -> AsyncGenerator[Response]:
        """Send the status of a service, now and whenever it changes."""
        sent = None
        with self._counted():
            while True:
                # Read both together, since sending takes a while.
                changed, ended, status = self._changed, self._ended, self._status(request.service)
                if status != sent:
                    sent = status
                    yield Response(status=status)
                if ended:
                    return
                await changed.wait()

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

    def _set(self, *, ready: bool) -> None:
        self._ready = ready and not self._draining
        self._changed.set()
        self._changed = asyncio.Event()

    async def _check_every(self, seconds: float) -> None:
        while True:
            await asyncio.sleep(seconds)
            await self.check()
