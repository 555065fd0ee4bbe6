"""The HTTP composition root: core, then the features, then what is yours."""

from fastapi import FastAPI

from app.core.application import new_app
from app.core.feature import Feature
from app.features import FEATURES

# Your own packages come after the features that they rely on: (*FEATURES, books)
PACKAGES: tuple[Feature, ...] = (*FEATURES,)


def create_app() -> FastAPI:
    """Build the application; nothing connects to anything before its lifespan starts.

    Raises:
        SettingsError: a setting is missing or wrong; the message names the variable.
    """
    app = new_app()
    for package in PACKAGES:
        package.install(app)

    # Your own middleware, and routers that belong to no package, go here.

    return app


app = create_app()
