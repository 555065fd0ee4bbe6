"""The application of the platform's tests: the project's, and widgets.

A server of its own runs it as `keel.tests.application:create_app()`.
"""

from fastapi import FastAPI

from app.main import create_app as create_project
from keel.application import install_packages
from keel.packages import find_package
from keel.services import services_of


def create_app() -> FastAPI:
    """Build the application; its database has to have the widgets' tables."""
    app = create_project()
    widgets = find_package("keel.tests.widgets")
    services = services_of(app)
    services.packages = [*services.packages, widgets]
    install_packages(app, [widgets])
    return app
