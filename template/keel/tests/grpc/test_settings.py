"""Settings of the gRPC server."""

import re
from pathlib import Path
from typing import Any

import grpc
import pytest

from keel.grpc.settings import GrpcSettings
from keel.settings import SettingsError

EVERYWHERE = "0.0.0.0"  # noqa: S104 - what is tried here


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"GRPC_HOST": EVERYWHERE}, "GRPC_PLAINTEXT=true"),
        ({"GRPC_HOST": "[::]"}, "GRPC_PLAINTEXT=true"),
        ({"GRPC_HOST": "grpc.example.com"}, "GRPC_PLAINTEXT=true"),
        ({"GRPC_TLS_CERTIFICATE": "tls.crt"}, "set both or neither"),
        ({"GRPC_TLS_KEY": "tls.key"}, "set both or neither"),
        ({"GRPC_TLS_CLIENT_CA": "ca.crt"}, "set GRPC_TLS_CERTIFICATE"),
        ({"GRPC_PORT": "65536"}, "GRPC_PORT"),
    ],
)
def test_invalid_settings_are_refused(
    environment: None, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], message: str
) -> None:
    """Plaintext on other addresses than loopback must be explicit."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=message):
        GrpcSettings.load()


@pytest.mark.parametrize(
    "settings",
    [
        {"host": "localhost"},
        {"host": "[::1]"},
        {"host": EVERYWHERE, "plaintext": True},
        {"host": "[::]", "tls_certificate": Path("tls.crt"), "tls_key": Path("tls.key")},
    ],
)
def test_valid_settings(environment: None, settings: dict[str, Any]) -> None:
    """Loopback, TLS, or explicit plaintext."""
    assert GrpcSettings(**settings).address == f"{settings['host']}:0"


@pytest.mark.parametrize(
    ("place", "said", "reflects"),
    [("local", None, True), ("production", None, False), ("production", "true", True), ("local", "false", False)],
)
def test_reflection(
    environment: None, monkeypatch: pytest.MonkeyPatch, place: str, said: str | None, *, reflects: bool
) -> None:
    """Reflection is served in local and test, unless a variable says otherwise."""
    monkeypatch.setenv("ENVIRONMENT", place)
    if said is not None:
        monkeypatch.setenv("GRPC_REFLECTION", said)

    assert GrpcSettings.load().reflects is reflects


def test_names_are_not_grpcs_own(environment: None) -> None:
    """Settings do not clash with the library's own variables, such as GRPC_VERBOSITY, found in its extension module."""
    extension = b"".join(path.read_bytes() for path in Path(grpc.__file__).parent.rglob("cygrpc*.*"))
    theirs = {name.decode() for name in re.findall(rb"(?<!\w)GRPC_[A-Z_0-9]+", extension)}
    ours = {GrpcSettings.variable(field) for field in GrpcSettings.model_fields}

    assert "GRPC_VERBOSITY" in theirs
    assert ours.isdisjoint(theirs)
