"""Statistics over HTTP: tables as JSON, CSV, Parquet or Arrow, as the caller accepts; calendars and SQL for them.

A package of the application adds its own in a module or package `statistics` with a function `install(app)`.
"""

from fastapi import FastAPI

from keel.packages import load_each
from keel.services import services_of


def install(app: FastAPI) -> None:
    """Read the settings.

    Raises:
        SettingsError: a setting is not valid.
    """
    from keel.analytics.settings import AnalyticsSettings
    from keel.analytics.workers import Workers

    services_of(app).analytics = Workers(AnalyticsSettings.load())


def add_routes(app: FastAPI) -> None:
    """Install the statistics of packages, before their routers, whose `/{id}` would match first."""
    for _, module in load_each(services_of(app).packages, "statistics"):
        module.install(app)
