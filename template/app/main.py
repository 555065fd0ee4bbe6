"""The HTTP composition root: core, then the features, then what is yours."""

from fastapi import FastAPI

from app.core.application import new_app
from app.features import FEATURES


def create_app() -> FastAPI:
    """Build the application; nothing connects to anything before its lifespan starts.

    Raises:
        SettingsError: a setting is missing or wrong; the message names the variable.
    """
    app = new_app()
    for feature in FEATURES:
        feature.install(app)

    # Your own routers and middleware go below this line, after the features that they rely on.

    return app


app = create_app()
