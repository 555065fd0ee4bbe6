"""The environment that the application reads its settings from."""

from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from typing import Any

import pytest
import structlog

from keel.observability import logs
from keel.ops.settings_check import find_settings
from keel.settings import CoreSettings
from keel.testing.support import PATIENCE


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """Run every test on one event loop: the one that servers use, where there is one."""
    return "asyncio", {"use_uvloop": find_spec("uvloop") is not None}


@pytest.fixture(scope="session")
def environment(request: pytest.FixtureRequest, database_url: str) -> Iterator[None]:
    """Forget every setting of the shell that runs the tests, and name the test database.

    A package's `fixtures` may add variables for all tests: a dictionary named `ENVIRONMENT`, of values, or of functions
    that are given the request and return them.

    A test that needs other settings sets them with `monkeypatch` and builds an application of its own.
    """
    with pytest.MonkeyPatch.context() as patch:
        for settings in find_settings():
            for field in settings.model_fields:
                patch.delenv(settings.variable(field), raising=False)
        patch.setenv("ENVIRONMENT", "test")
        patch.setenv("DATABASE_URL", database_url)
        patch.setenv("LOG_LEVEL", "WARNING")
        # Working, but out of the way of many tests from one address, and of those that limit requests in a minute.
        patch.setenv("RATE_LIMIT", "1000000/hour")
        # A busy machine is ready.
        patch.setenv("READINESS_TIMEOUT", str(PATIENCE))
        for plugin in request.config.pluginmanager.get_plugins():
            for name, value in getattr(plugin, "ENVIRONMENT", {}).items():
                patch.setenv(name, value(request) if callable(value) else value)
        # A logger that is cached would keep what one test's settings made of it.
        patch.setattr(structlog, "configure", partial(_configure_uncached, structlog.configure))
        # The application that was built when it was imported has set logs up already.
        logs.configure(CoreSettings.load())
        yield


def _configure_uncached(configure: Callable[..., None], **options: Any) -> None:
    configure(**{**options, "cache_logger_on_first_use": False})


@pytest.fixture(autouse=True)
def logs_as_they_were(environment: None) -> Iterator[None]:
    """Undo what a test's own application has made of the logs."""
    before = structlog.get_config()["wrapper_class"]
    yield
    if structlog.get_config()["wrapper_class"] is not before:
        logs.configure(CoreSettings.load())
