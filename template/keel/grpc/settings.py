"""Settings of the gRPC server."""

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict

from keel.settings import Settings


class RpcSettings(Settings):
    """Where the gRPC server listens, and what it allows."""

    model_config = SettingsConfigDict(env_prefix="RPC_")

    host: str = "127.0.0.1"
    """The address to listen on; `0.0.0.0` and `[::]` are all of them."""

    port: Annotated[int, Field(ge=0, le=65535)] = 50051
    """The port to listen on; 0: any that is free."""

    tls_certificate: Path | None = None
    """The certificate and those that lead to its authority, as PEM. It is read anew when the file changes."""

    tls_key: Path | None = None
    """The certificate's key, as PEM."""

    tls_client_ca: Path | None = None
    """Authorities, as PEM, one of which must have signed the certificate of each client; None: clients need none."""

    plaintext: bool = False
    """Whether others than this machine may call without TLS, since a mesh or a private network sees to secrecy."""

    reflection: bool | None = None
    """Whether the server tells what it serves (`grpc.reflection`); None: only in local and test."""

    max_message_size: Annotated[int, Field(ge=1024)] = 1_048_576
    """Bytes of a message that a client sends."""

    concurrent_calls: Annotated[int, Field(ge=1)] = 1000
    """Calls and streams that are served at a time; more are refused (RESOURCE_EXHAUSTED)."""

    health_seconds: Annotated[float, Field(gt=0)] = 5.0
    """Seconds between two runs of the readiness checks, which the health service tells the last outcome of."""

    keepalive_seconds: Annotated[float, Field(ge=1)] = 60.0
    """Seconds without traffic after which a connection is tried."""

    connection_seconds: Annotated[float, Field(ge=1)] = 1800.0
    """Seconds after which a client is asked to connect anew, so that it finds processes that have come meanwhile."""

    drain_seconds: Annotated[float, Field(ge=0)] = 1.0
    """Seconds for which a server that stops still takes calls, where clients watch its health: these call elsewhere by then."""

    grace_seconds: Annotated[float, Field(ge=0)] = 25.0
    """Seconds that calls may take to end when the server stops, or a connection is given up."""

    @property
    def tells(self) -> bool:
        """Whether there is reflection."""
        return not self.deployed if self.reflection is None else self.reflection

    @property
    def address(self) -> str:
        """Host and port, as gRPC writes them."""
        return f"{self.host}:{self.port}"

    @model_validator(mode="after")
    def _check_tls(self) -> Self:
        if (self.tls_certificate is None) is not (self.tls_key is None):
            raise ValueError("RPC_TLS_CERTIFICATE and RPC_TLS_KEY: set both or neither")
        if self.tls_certificate is None:
            if self.tls_client_ca is not None:
                raise ValueError("RPC_TLS_CLIENT_CA: it needs RPC_TLS_CERTIFICATE and RPC_TLS_KEY")
            if not self.plaintext and not _is_loopback(self.host):
                raise ValueError(
                    "RPC_HOST: others than this machine may call without TLS only with RPC_PLAINTEXT=true; "
                    "else set RPC_TLS_CERTIFICATE and RPC_TLS_KEY"
                )
        return self


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
