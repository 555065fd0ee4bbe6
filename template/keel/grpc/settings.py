"""Settings of the gRPC server."""

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict

from keel.settings import Settings


class GrpcSettings(Settings):
    """Address, TLS and limits of the gRPC server.

    gRPC itself reads other variables that begin with `GRPC_`, such as `GRPC_VERBOSITY`; a test prevents clashes.
    """

    model_config = SettingsConfigDict(env_prefix="GRPC_")

    host: str = "127.0.0.1"
    """The address to listen on; `0.0.0.0` and `[::]` are all addresses."""

    port: Annotated[int, Field(ge=0, le=65535)] = 50051
    """The port to listen on; 0 for any free one."""

    tls_certificate: Path | None = None
    """The certificate chain, as PEM; reloaded when the file changes."""

    tls_key: Path | None = None
    """The certificate's key, as PEM."""

    tls_client_ca: Path | None = None
    """CAs of client certificates, as PEM; by default, clients need no certificate."""

    plaintext: bool = False
    """Whether other machines may call without TLS, because a service mesh or private network encrypts."""

    reflection: bool | None = None
    """Whether to serve reflection (`grpc.reflection`); by default only in local and test."""

    max_message_size: Annotated[int, Field(ge=1024)] = 1_048_576
    """Maximum size in bytes of a message from a client."""

    concurrent_calls: Annotated[int, Field(ge=1)] = 1000
    """Maximum of concurrent calls and streams; further ones are refused (RESOURCE_EXHAUSTED)."""

    health_seconds: Annotated[float, Field(gt=0)] = 5.0
    """Seconds between two runs of the readiness checks; the health service answers with the latest outcome."""

    keepalive_seconds: Annotated[float, Field(ge=1)] = 60.0
    """Seconds without traffic after which a keepalive ping is sent."""

    connection_seconds: Annotated[float, Field(ge=1)] = 1800.0
    """Seconds after which a client is asked to reconnect, so that it finds new processes."""

    drain_seconds: Annotated[float, Field(ge=0)] = 1.0
    """Seconds that a stopping server still accepts calls while clients that watch its health switch to another."""

    grace_seconds: Annotated[float, Field(ge=0)] = 25.0
    """Seconds for calls to end when the server stops or a connection reaches its maximum age."""

    @property
    def reflects(self) -> bool:
        """Whether the reflection service is served."""
        return not self.deployed if self.reflection is None else self.reflection

    @property
    def address(self) -> str:
        """Host and port in gRPC's notation."""
        return f"{self.host}:{self.port}"

    @model_validator(mode="after")
    def _check_tls(self) -> Self:
        if (self.tls_certificate is None) is not (self.tls_key is None):
            raise ValueError("GRPC_TLS_CERTIFICATE and GRPC_TLS_KEY: set both or neither")
        if self.tls_certificate is None:
            if self.tls_client_ca is not None:
                raise ValueError("GRPC_TLS_CLIENT_CA: set GRPC_TLS_CERTIFICATE and GRPC_TLS_KEY too")
            if not self.plaintext and not _is_loopback(self.host):
                raise ValueError(
                    "GRPC_HOST: other machines may call without TLS only with GRPC_PLAINTEXT=true; "
                    "otherwise set GRPC_TLS_CERTIFICATE and GRPC_TLS_KEY"
                )
        return self


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
