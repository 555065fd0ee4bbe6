"""The environment that the application reads its settings from, isolated from the shell that runs the tests.

It is set when this module is loaded, before an application is imported. So no test reaches a developer's database or
services, whatever client it uses.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from importlib.util import find_spec
from typing import Any

import pytest
import structlog

from keel.db.models import load_models
from keel.observability import logs
from keel.ops.settings_check import find_settings
from keel.services import services_of
from keel.settings import CoreSettings
from keel.testing.database import refuse_unmigrated
from keel.testing.support import PATIENCE


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """Run every test on one event loop, of the implementation that servers use, if installed."""
    return "asyncio", {"use_uvloop": find_spec("uvloop") is not None}


for _settings in find_settings():
    for _field in _settings.model_fields:
        os.environ.pop(_settings.variable(_field), None)

os.environ |= {
    "ENVIRONMENT": "test",
    "LOG_LEVEL": "WARNING",
    # Active, but high enough for many tests from one address, and for those that limit requests per minute.
    "RATE_LIMIT": "1000000/hour",
    # A busy machine must count as ready.
    "READINESS_TIMEOUT": str(PATIENCE),
}


def pytest_plugin_registered(plugin: object) -> None:
    """Apply the variables of a package's `fixtures` at once: any import of `app.main` must see test settings."""
    os.environ.update({name: value for name, value in _variables(plugin) if isinstance(value, str)})


def _variables(plugin: object) -> Iterable[tuple[str, Any]]:
    return getattr(plugin, "ENVIRONMENT", {}).items()


@pytest.fixture(scope="session")
def environment(request: pytest.FixtureRequest, database_url: str) -> Iterator[None]:
    """Apply the settings of the tests, and none of the shell that runs them.

    A package's `fixtures` may add variables for all tests: a dictionary named `ENVIRONMENT` of values, or of functions
    that take the request and return values.

    A test that needs other settings sets them with `monkeypatch` and builds its own application.
    """
    with pytest.MonkeyPatch.context() as patch:
        for plugin in request.config.pluginmanager.get_plugins():
            for name, value in _variables(plugin):
                patch.setenv(name, value(request) if callable(value) else value)
        # A cached logger would keep the configuration of one test's settings.
        patch.setattr(structlog, "configure", partial(_configure_uncached, structlog.configure))
        # The application built at import has already configured logging.
        logs.configure(CoreSettings.load())
        from app.main import app

        refuse_unmigrated(services_of(app).database, load_models("keel", "app"))
        yield


def _configure_uncached(configure: Callable[..., None], **options: Any) -> None:
    configure(**{**options, "cache_logger_on_first_use": False})


@pytest.fixture(autouse=True)
def logs_as_they_were(environment: None) -> Iterator[None]:
    """Undo the log configuration of a test's own application."""
    before = structlog.get_config()["wrapper_class"]
    yield
    if structlog.get_config()["wrapper_class"] is not before:
        logs.configure(CoreSettings.load())
