"""Beacons: lights that ships steer by."""

from fastapi import FastAPI


def install(app: FastAPI) -> None:
    """Add the endpoints. Imports wait until here, so that every module can be imported alone."""
    from keel.beacon.router import router

    app.include_router(router, prefix="/api/v1")
