"""The server: what it serves, how it listens, how it stops."""

import asyncio
import socket
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import structlog
from fastapi import FastAPI

from keel.grpc.calls import CallInterceptor
from keel.grpc.credentials import server_credentials
from keel.grpc.health import Health, probes
from keel.grpc.settings import RpcSettings
from keel.packages import Package, load_each
from keel.services import services_of

log = structlog.get_logger()


class CannotListen(Exception):
    """Somebody else listens there, or there is no such address."""


async def serve(app: FastAPI, packages: Iterable[Package]) -> None:
    """Serve what the packages offer until the process is told to stop.

    Raises:
        CannotListen: the address of the settings is not free.
        SettingsError: a certificate or key is not usable.
    """
    async with serving(app, packages):
        await services_of(app).shutdown.wait()


@asynccontextmanager
async def serving(app: FastAPI, packages: Iterable[Package]) -> AsyncGenerator[int]:
    """Serve within the block, and give it the port. At its end, calls that are under way are finished.

    Before that, clients that watch its health get the time to call elsewhere.

    Raises:
        CannotListen: the address of the settings is not free.
        SettingsError: a certificate or key is not usable.
    """
    settings: RpcSettings = services_of(app).grpc
    server = grpc.aio.server(
        interceptors=[CallInterceptor(app)],
        options=_options(settings),
        maximum_concurrent_rpcs=settings.concurrent_calls,
    )
    names = [name for _, module in load_each(packages, "grpc") for name in module.add_services(app, server)]
    health = Health(services_of(app).checks, names)
    names.append(health.add_to(server))
    if settings.tells:
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
    async with health.kept(settings.health_seconds):
        await asyncio.gather(server.start(), probed.start())
        await log.ainfo("rpc_serving", host=settings.host, port=port, tls=settings.tls_certificate is not None)
        try:
            yield port
        finally:
            # Streams end by this sign.
            services_of(app).shutdown.begin()
            # gRPC cancels calls that arrive as it stops (grpc/grpc#41785); clients that watch our health send none by then.
            await health.leave(settings.drain_seconds)
            health.end()
            await server.stop(settings.grace_seconds)
            await probed.stop(None)
            await log.ainfo("rpc_stopped")


def _listen(server: grpc.aio.Server, settings: RpcSettings) -> int:
    credentials = server_credentials(settings)
    try:
        if credentials is None:
            return server.add_insecure_port(settings.address)
        return server.add_secure_port(settings.address, credentials)
    except RuntimeError as error:
        raise CannotListen(f"Cannot listen on {settings.address}: RPC_HOST and RPC_PORT say where.") from error


def _listen_for_probes(server: grpc.aio.Server, port: int) -> None:
    """Tell of our health on this machine without TLS, whatever certificates strangers need."""
    if hasattr(socket, "AF_UNIX"):
        server.add_insecure_port(probes(port))


def _options(settings: RpcSettings) -> list[tuple[str, Any]]:
    """Return channel arguments; grpc/impl/channel_arg_names.h in gRPC's sources says what they mean."""
    keepalive = round(settings.keepalive_seconds * 1000)
    return [
        ("grpc.max_receive_message_length", settings.max_message_size),
        # What we send is ours to bound.
        ("grpc.max_send_message_length", -1),
        ("grpc.keepalive_time_ms", keepalive),
        ("grpc.keepalive_timeout_ms", 20_000),
        # Clients may try their connections as often as we do, also while nothing is under way.
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", min(keepalive, 10_000)),
        ("grpc.max_connection_age_ms", round(settings.connection_seconds * 1000)),
        ("grpc.max_connection_age_grace_ms", round(settings.grace_seconds * 1000)),
        # A second process on the same port would take a part of the calls, and nobody would notice.
        ("grpc.so_reuseport", 0),
    ]
