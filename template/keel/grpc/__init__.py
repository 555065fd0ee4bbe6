"""RPC: a gRPC server beside the HTTP API, on the same services.

A package takes part by a module or package `rpc` with a function `add_services(app, server)`, which adds its servicers to the
server and returns their services' full names; see `app/examples/notes/grpc/`.
"""

from fastapi import FastAPI

from keel.services import services_of


def install(app: FastAPI) -> None:
    """Read the settings. Whoever serves HTTP serves no gRPC and loads nothing of it: that is a process of its own.

    Raises:
        SettingsError: the settings are not usable.
    """
    from keel.grpc.settings import RpcSettings

    services_of(app).grpc = RpcSettings.load()
