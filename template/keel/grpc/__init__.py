"""A gRPC server alongside the HTTP API, on the same services.

A package of the application adds to it in a module or package `grpc` with a function `add_services(app, server)`, which
adds its servicers to the server and returns the full names of their services.
"""

from fastapi import FastAPI

from keel.services import services_of


def install(app: FastAPI) -> None:
    """Read the settings. The server is a separate process; processes that serve HTTP do not import gRPC.

    Raises:
        SettingsError: a setting is not valid.
    """
    from keel.grpc.settings import GrpcSettings

    services_of(app).grpc = GrpcSettings.load()
