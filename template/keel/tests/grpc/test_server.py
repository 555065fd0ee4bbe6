"""The server: reflection, TLS, shutdown."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from fastapi import FastAPI
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from httpx2 import AsyncClient

from keel.grpc import credentials
from keel.grpc.server import CannotListen, serve, serving
from keel.grpc.settings import GrpcSettings
from keel.packages import find_package
from keel.services import services_of
from keel.settings import SettingsError
from keel.tests.grpc import probe
from keel.tests.grpc.probe.grpc import NAME
from keel.tests.grpc.probe.widgets import SERVICE
from keel.tests.grpc.support import TIMEOUT, Widgets, connected, end_of, refused

AUTHORITY = trustme.CA()

ClientOf = Callable[[grpc.aio.Channel], Widgets]


@asynccontextmanager
async def served(app: FastAPI, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> AsyncGenerator[int]:
    """Serve the running application again, with other settings; yield the port."""
    monkeypatch.setattr(services_of(app), "grpc", GrpcSettings(port=0, **settings))
    monkeypatch.setattr(services_of(app), "shutdown", Ending())
    async with serving(app, [find_package(probe.__name__)]) as port:
        yield port


class Ending:
    """A `Shutdown` that begins when the server stops."""

    def __init__(self) -> None:
        self._begun = asyncio.Event()

    def begin(self) -> None:
        """Begin."""
        self._begun.set()

    async def wait(self) -> None:
        """Wait for the end."""
        await self._begun.wait()


def files(folder: Path, authority: trustme.CA = AUTHORITY) -> dict[str, Any]:
    """Write a certificate and its key; return the settings that name them."""
    issued = authority.issue_cert("localhost")
    certificate, key = folder / "tls.crt", folder / "tls.key"
    issued.private_key_pem.write_to_path(str(key))
    certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    return {"tls_certificate": certificate, "tls_key": key}


def trusting(authority: trustme.CA = AUTHORITY, client: trustme.LeafCert | None = None) -> grpc.ChannelCredentials:
    """Return a client's credentials: the CA that it trusts, and its certificate."""
    pair = (client.private_key_pem.bytes(), client.cert_chain_pems[0].bytes()) if client else (None, None)
    return grpc.ssl_channel_credentials(authority.cert_pem.bytes(), *pair)


@pytest.fixture
def client_of(client: AsyncClient) -> ClientOf:
    """Return a function that creates a client with the token of `client`."""
    return lambda channel: Widgets(channel, client.headers.get("Authorization"))


async def services(channel: grpc.aio.Channel) -> set[str]:
    """Return the services by reflection."""

    async def requests() -> AsyncGenerator[reflection_pb2.ServerReflectionRequest]:
        yield reflection_pb2.ServerReflectionRequest(list_services="")

    stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
    (answer,) = [each async for each in stub.ServerReflectionInfo(requests(), timeout=TIMEOUT)]
    return {service.name for service in answer.list_services_response.service}


async def test_reflection(channel: grpc.aio.Channel) -> None:
    """Reflection is served in local and test."""
    assert await services(channel) >= {
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
        NAME,
        SERVICE,
    }


async def test_reflection_can_be_switched_off(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service is then UNIMPLEMENTED."""
    async with served(app, monkeypatch, reflection=False) as port, connected(port) as channel:
        stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
        # Nothing is sent: the client reports a request that meets the end of a call as INTERNAL.
        assert (await end_of(stub.ServerReflectionInfo(timeout=TIMEOUT))).code is grpc.StatusCode.UNIMPLEMENTED


async def test_port_in_use(app: FastAPI, grpc_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second server on a port does not start: it would silently take some of the calls."""
    monkeypatch.setattr(services_of(app), "grpc", GrpcSettings(port=grpc_port))
    with pytest.raises(CannotListen, match=str(grpc_port)):
        await serve(app, [])


async def test_shutdown_ends_streams(app: FastAPI, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch) -> None:
    """They end with a code on which clients retry elsewhere."""
    async with AsyncExitStack() as stack:
        async with served(app, monkeypatch) as port:
            channel = await stack.enter_async_context(connected(port))
            watching = await client_of(channel).watch()

        assert (await refused(watching.read())).code is grpc.StatusCode.UNAVAILABLE


async def test_draining_server_answers(app: FastAPI, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch) -> None:
    """It accepts calls until the clients that watch its health have left."""
    async with AsyncExitStack() as stack:
        async with served(app, monkeypatch, drain_seconds=3600) as port:
            channel = await stack.enter_async_context(connected(port))
            watching = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=TIMEOUT)
            assert (await watching.read()).status == health_pb2.HealthCheckResponse.SERVING

            async def call_late() -> None:
                assert (await watching.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
                try:
                    await client_of(channel).list()
                finally:
                    watching.cancel()

            calling = asyncio.ensure_future(call_late())
        await calling


async def test_tls(app: FastAPI, client_of: ClientOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients that trust the CA can call; others, and those without TLS, cannot."""
    async with served(app, monkeypatch, **files(tmp_path)) as port:
        async with connected(port, trusting()) as channel:
            await client_of(channel).create("over TLS")
            assert await client_of(channel).list() == ["over TLS"]
        for stranger in (trusting(trustme.CA()), None):
            async with connected(port, stranger) as channel:
                assert (await refused(client_of(channel).list())).code is grpc.StatusCode.UNAVAILABLE


async def test_client_certificates(
    app: FastAPI, client_of: ClientOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a CA for clients, only certificates that it signed are accepted."""
    theirs = trustme.CA()
    theirs.cert_pem.write_to_path(str(tmp_path / "ca.crt"))
    known = trusting(client=theirs.issue_cert("client.example.com"))
    async with served(app, monkeypatch, tls_client_ca=tmp_path / "ca.crt", **files(tmp_path)) as port:
        async with connected(port, known) as channel:
            await client_of(channel).list()
        for stranger in (trusting(), trusting(client=AUTHORITY.issue_cert("client.example.com"))):
            async with connected(port, stranger) as channel:
                assert (await refused(client_of(channel).list())).code is grpc.StatusCode.UNAVAILABLE


async def test_certificates_are_reloaded(
    app: FastAPI, client_of: ClientOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New connections get the certificate currently in the files."""
    successor = trustme.CA()
    async with served(app, monkeypatch, **files(tmp_path)) as port:
        async with connected(port, trusting()) as channel:
            await client_of(channel).list()
        files(tmp_path, successor)
        async with connected(port, trusting(successor)) as channel:
            await client_of(channel).list()


def test_missing_certificates(tmp_path: Path) -> None:
    """Missing files prevent startup; later, the certificates read before stay in use."""
    settings = GrpcSettings(**files(tmp_path))
    found = credentials.Certificates(tmp_path / "tls.crt", tmp_path / "tls.key", None)
    found.read()
    assert found.fetch() is None
    (tmp_path / "tls.key").unlink()
    assert found.fetch() is None
    with pytest.raises(SettingsError, match=r"GRPC_TLS_KEY.*No such file"):
        credentials.server_credentials(settings)
