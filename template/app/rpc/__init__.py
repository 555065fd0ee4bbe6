"""RPC: a gRPC server beside the HTTP API, on the same services.

A package takes part by a module or package `rpc` with a function `add_services(app, server)`, which adds its servicers to the
server and returns their services' full names; see `app/notes/rpc/`.
"""

from fastapi import FastAPI


def install(app: FastAPI) -> None:
    """Read the settings. Whoever serves HTTP serves no gRPC and loads nothing of it: that is a process of its own.

    Raises:
        SettingsError: the settings are not usable.
    """
    from app.rpc.settings import RpcSettings

    app.state.rpc_settings = RpcSettings.load()
