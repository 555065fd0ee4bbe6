"""The application: Keel's platform, with the packages of `app/`."""

from fastapi import FastAPI

from keel.application import create_app as create_platform


def create_app() -> FastAPI:
    """Build the application; nothing connects to anything before its lifespan starts.

    Raises:
        SettingsError: a setting is missing or wrong; the message names the variable.
        PackageError: a package of `app/` breaks a convention; the message says what to change.
    """
    app = create_platform("app")

    # Your own middleware, and routers that belong to no package, go here.

    return app


app = create_app()
