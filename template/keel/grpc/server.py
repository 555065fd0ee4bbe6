"""The server: services, ports, shutdown."""

import asyncio
import socket
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import structlog
from fastapi import FastAPI

from keel.grpc.credentials import server_credentials
from keel.grpc.health import Health, probes
from keel.grpc.interceptors import CallInterceptor
from keel.grpc.settings import GrpcSettings
from keel.packages import Package, load_each
from keel.services import services_of

log = structlog.get_logger()


class CannotListen(Exception):
    """The address is in use, or does not exist."""


async def serve(app: FastAPI, packages: Iterable[Package]) -> None:
    """Serve the services of packages until shutdown.

    Raises:
        CannotListen: the address is not free.
        SettingsError: a certificate or key is not usable.
    """
    async with serving(app, packages):
        await services_of(app).shutdown.wait()


@asynccontextmanager
async def serving(app: FastAPI, packages: Iterable[Package]) -> AsyncGenerator[int]:
    """Serve while the block runs; yield the port. At the end, finish calls in progress.

    Before that, clients that watch the health service get time to switch to another server.

    Raises:
        CannotListen: the address is not free.
        SettingsError: a certificate or key is not usable.
    """
    settings: GrpcSettings = services_of(app).grpc
    server = grpc.aio.server(
        interceptors=[CallInterceptor(app)],
        options=_options(settings),
        maximum_concurrent_rpcs=settings.concurrent_calls,
    )
    names = [name for _, module in load_each(packages, "grpc") for name in module.add_services(app, server)]
    health = Health(services_of(app).checks, names)
    names.append(health.add_to(server))
    if settings.reflects:
        from grpc_reflection.v1alpha import reflection

        reflection.enable_server_reflection([*names, reflection.SERVICE_NAME], server)
    probed = grpc.aio.server()
    health.add_to(probed)
    try:
        port = _listen(server, settings)
        _listen_for_probes(probed, port)
    except Exception:
        await asyncio.gather(server.stop(None), probed.stop(None))
        raise
    async with health.checking(settings.health_seconds):
        await asyncio.gather(server.start(), probed.start())
        await log.ainfo("grpc_serving", host=settings.host, port=port, tls=settings.tls_certificate is not None)
        try:
            yield port
        finally:
            # Ends streams.
            services_of(app).shutdown.begin()
            # gRPC cancels calls that arrive as it stops (grpc/grpc#41785); clients that watch health send none by then.
            await health.drain(settings.drain_seconds)
            health.end()
            await server.stop(settings.grace_seconds)
            await probed.stop(None)
            await log.ainfo("grpc_stopped")


def _listen(server: grpc.aio.Server, settings: GrpcSettings) -> int:
    credentials = server_credentials(settings)
    try:
        if credentials is None:
            return server.add_insecure_port(settings.address)
        return server.add_secure_port(settings.address, credentials)
    except RuntimeError as error:
        raise CannotListen(f"Cannot listen on {settings.address}: change GRPC_HOST or GRPC_PORT.") from error


def _listen_for_probes(server: grpc.aio.Server, port: int) -> None:
    """Serve health on a Unix socket, without TLS and client certificates."""
    if hasattr(socket, "AF_UNIX"):
        server.add_insecure_port(probes(port))


def _options(settings: GrpcSettings) -> list[tuple[str, Any]]:
    """Return channel arguments, which gRPC documents in grpc/impl/channel_arg_names.h."""
    keepalive = round(settings.keepalive_seconds * 1000)
    return [
        ("grpc.max_receive_message_length", settings.max_message_size),
        # Responses are bounded by the methods.
        ("grpc.max_send_message_length", -1),
        ("grpc.keepalive_time_ms", keepalive),
        ("grpc.keepalive_timeout_ms", 20_000),
        # Clients may send keepalive pings as often as the server, even without calls.
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", min(keepalive, 10_000)),
        ("grpc.max_connection_age_ms", round(settings.connection_seconds * 1000)),
        ("grpc.max_connection_age_grace_ms", round(settings.grace_seconds * 1000)),
        # A second process on the same port would silently take some of the calls.
        ("grpc.so_reuseport", 0),
    ]
