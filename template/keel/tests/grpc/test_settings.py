"""Settings of the gRPC server."""

from pathlib import Path
from typing import Any

import pytest

from keel.grpc.settings import RpcSettings
from keel.settings import SettingsError

EVERYWHERE = "0.0.0.0"  # noqa: S104 - what is tried here


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"RPC_HOST": EVERYWHERE}, "RPC_PLAINTEXT=true"),
        ({"RPC_HOST": "[::]"}, "RPC_PLAINTEXT=true"),
        ({"RPC_HOST": "rpc.example.com"}, "RPC_PLAINTEXT=true"),
        ({"RPC_TLS_CERTIFICATE": "tls.crt"}, "set both or neither"),
        ({"RPC_TLS_KEY": "tls.key"}, "set both or neither"),
        ({"RPC_TLS_CLIENT_CA": "ca.crt"}, "it needs RPC_TLS_CERTIFICATE"),
        ({"RPC_PORT": "65536"}, "RPC_PORT"),
    ],
)
def test_refused(environment: None, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], message: str) -> None:
    """Nobody listens to the world without TLS by mistake."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=message):
        RpcSettings.load()


@pytest.mark.parametrize(
    "settings",
    [
        {"host": "localhost"},
        {"host": "[::1]"},
        {"host": EVERYWHERE, "plaintext": True},
        {"host": "[::]", "tls_certificate": Path("tls.crt"), "tls_key": Path("tls.key")},
    ],
)
def test_allowed(environment: None, settings: dict[str, Any]) -> None:
    """This machine alone, or with TLS, or where somebody has said that something else sees to secrecy."""
    assert RpcSettings(**settings).address == f"{settings['host']}:0"


@pytest.mark.parametrize(
    ("place", "said", "tells"),
    [("local", None, True), ("production", None, False), ("production", "true", True), ("local", "false", False)],
)
def test_reflection(
    environment: None, monkeypatch: pytest.MonkeyPatch, place: str, said: str | None, *, tells: bool
) -> None:
    """The server tells what it serves where developers are, unless somebody says otherwise."""
    monkeypatch.setenv("ENVIRONMENT", place)
    if said is not None:
        monkeypatch.setenv("RPC_REFLECTION", said)

    assert RpcSettings.load().tells is tells
