"""WebSockets: handshake, authentication, limits, a bounded send queue, close codes and draining for any endpoint."""

from fastapi import FastAPI


def install(app: FastAPI) -> None:
    """Add the registry of open connections; they are closed when the process begins to stop."""
    from keel.websockets.registry import install_registry

    install_registry(app)
