"""The application of the platform's tests: the project's, and widgets.

A server of its own runs it as `keel.tests.application:create_app()`.
"""

from unittest import mock

from fastapi import FastAPI

from app.main import create_app as create_project
from keel.packages import Package, find_package, find_packages


def create_app() -> FastAPI:
    """Build the application; its database has to have the widgets' tables."""
    with mock.patch("keel.application.find_packages", _with_widgets):
        return create_project()


def _with_widgets(root: str) -> list[Package]:
    return [*find_packages(root), find_package("keel.tests.widgets")]
