"""The application of the platform's tests: the project's, and widgets.

A server of its own runs it as `keel.tests.application:create_app()`.
"""

from fastapi import FastAPI

from app.main import create_app as create_project
from keel.application import install_packages
from keel.packages import find_package


def create_app() -> FastAPI:
    """Build the application; its database has to have the widgets' tables."""
    app = create_project()
    install_packages(app, [find_package("keel.tests.widgets")])
    return app
