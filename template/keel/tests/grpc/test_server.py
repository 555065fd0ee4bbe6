"""How the server listens, what it tells, and how it stops."""

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
from keel.grpc.settings import RpcSettings
from keel.packages import find_packages
from keel.services import services_of
from keel.settings import SettingsError
from keel.tests.grpc.probe.grpc import NAME
from keel.tests.grpc.support import TIMEOUT, Notes, connected, refused

AUTHORITY = trustme.CA()

AsSomebody = Callable[[grpc.aio.Channel], Notes]


@asynccontextmanager
async def served(app: FastAPI, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> AsyncGenerator[int]:
    """Serve the running application once more, with other settings; give the port."""
    monkeypatch.setattr(services_of(app), "grpc", RpcSettings(port=0, **settings))
    monkeypatch.setattr(services_of(app), "shutdown", Ending())
    async with serving(app, find_packages("app")) as port:
        yield port


class Ending:
    """What tells an application's streams that the process stops; here it is only the server's end."""

    def __init__(self) -> None:
        self._begun = asyncio.Event()

    def begin(self) -> None:
        """Begin."""
        self._begun.set()

    async def wait(self) -> None:
        """Wait for the end."""
        await self._begun.wait()


def files(folder: Path, authority: trustme.CA = AUTHORITY) -> dict[str, Any]:
    """Write a certificate and its key; return where they are, as the settings want it."""
    issued = authority.issue_cert("localhost")
    certificate, key = folder / "tls.crt", folder / "tls.key"
    issued.private_key_pem.write_to_path(str(key))
    certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    return {"tls_certificate": certificate, "tls_key": key}


def trusting(authority: trustme.CA = AUTHORITY, client: trustme.LeafCert | None = None) -> grpc.ChannelCredentials:
    """Return what a client trusts, and says of itself."""
    pair = (client.private_key_pem.bytes(), client.cert_chain_pems[0].bytes()) if client else (None, None)
    return grpc.ssl_channel_credentials(authority.cert_pem.bytes(), *pair)


@pytest.fixture
def as_somebody(client: AsyncClient) -> AsSomebody:
    """Return what makes a client of a server that calls as `client` does."""
    return lambda channel: Notes(channel, client.headers.get("Authorization"))


async def services(channel: grpc.aio.Channel) -> set[str]:
    """Ask the server what it serves."""

    async def requests() -> AsyncGenerator[reflection_pb2.ServerReflectionRequest]:
        yield reflection_pb2.ServerReflectionRequest(list_services="")

    stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
    (answer,) = [each async for each in stub.ServerReflectionInfo(requests(), timeout=TIMEOUT)]
    return {service.name for service in answer.list_services_response.service}


async def test_reflection(channel: grpc.aio.Channel) -> None:
    """In local and test, the server tells what it serves."""
    assert await services(channel) >= {
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
        "keel.notes.v1.NotesService",
        NAME,
    }


async def test_no_reflection(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is off, nothing is told."""
    async with served(app, monkeypatch, reflection=False) as port, connected(port) as channel:
        assert (await refused(services(channel))).code is grpc.StatusCode.UNIMPLEMENTED


async def test_the_place_is_taken(app: FastAPI, rpc_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two servers on one port would share the calls, and nobody would notice: the second does not start."""
    monkeypatch.setattr(services_of(app), "grpc", RpcSettings(port=rpc_port))
    with pytest.raises(CannotListen, match=str(rpc_port)):
        await serve(app, find_packages("app"))


async def test_the_end(app: FastAPI, as_somebody: AsSomebody, monkeypatch: pytest.MonkeyPatch) -> None:
    """Streams end with a code after which clients call again, elsewhere; the server waits for nobody else."""
    async with AsyncExitStack() as stack:
        async with served(app, monkeypatch) as port:
            channel = await stack.enter_async_context(connected(port))
            watching = await as_somebody(channel).watch()

        assert (await refused(watching.read())).code is grpc.StatusCode.UNAVAILABLE


async def test_calls_that_are_on_their_way(
    app: FastAPI, as_somebody: AsSomebody, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that stops still answers clients that watch its health, until they have left."""
    async with AsyncExitStack() as stack:
        async with served(app, monkeypatch, drain_seconds=3600) as port:
            channel = await stack.enter_async_context(connected(port))
            watching = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=TIMEOUT)
            assert (await watching.read()).status == health_pb2.HealthCheckResponse.SERVING

            async def call_late() -> None:
                assert (await watching.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
                try:
                    await as_somebody(channel).list()
                finally:
                    watching.cancel()

            calling = asyncio.ensure_future(call_late())
        await calling


async def test_tls(app: FastAPI, as_somebody: AsSomebody, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a certificate, whoever trusts its authority can call; others cannot, and nobody can without TLS."""
    async with served(app, monkeypatch, **files(tmp_path)) as port:
        async with connected(port, trusting()) as channel:
            assert (await as_somebody(channel).create("over TLS")).title == "over TLS"
        for stranger in (trusting(trustme.CA()), None):
            async with connected(port, stranger) as channel:
                assert (await refused(as_somebody(channel).list())).code is grpc.StatusCode.UNAVAILABLE


async def test_certificates_of_clients(
    app: FastAPI, as_somebody: AsSomebody, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where an authority for clients is named, only its own come in."""
    theirs = trustme.CA()
    theirs.cert_pem.write_to_path(str(tmp_path / "ca.crt"))
    known = trusting(client=theirs.issue_cert("client.example.com"))
    async with served(app, monkeypatch, tls_client_ca=tmp_path / "ca.crt", **files(tmp_path)) as port:
        async with connected(port, known) as channel:
            await as_somebody(channel).list()
        for stranger in (trusting(), trusting(client=AUTHORITY.issue_cert("client.example.com"))):
            async with connected(port, stranger) as channel:
                assert (await refused(as_somebody(channel).list())).code is grpc.StatusCode.UNAVAILABLE


async def test_certificates_are_renewed(
    app: FastAPI, as_somebody: AsSomebody, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connections that are made after the files have changed get what they hold then."""
    successor = trustme.CA()
    async with served(app, monkeypatch, **files(tmp_path)) as port:
        async with connected(port, trusting()) as channel:
            await as_somebody(channel).list()
        files(tmp_path, successor)
        async with connected(port, trusting(successor)) as channel:
            await as_somebody(channel).list()


def test_certificates_that_are_away(tmp_path: Path) -> None:
    """At the start that is an error; later, what was read before goes on to serve."""
    settings = RpcSettings(**files(tmp_path))
    found = credentials.Certificates(tmp_path / "tls.crt", tmp_path / "tls.key", None)
    found.read()
    assert found.fetch() is None
    (tmp_path / "tls.key").unlink()
    assert found.fetch() is None
    with pytest.raises(SettingsError, match=r"RPC_TLS_KEY.*No such file"):
        credentials.server_credentials(settings)
