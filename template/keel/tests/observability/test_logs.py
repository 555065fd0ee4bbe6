"""Lines of libraries have the same format as the application's."""

import json
import logging

import pytest

from keel.observability import logs
from keel.settings import CoreSettings


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    """A library's line is JSON with logger, level and time, its exception included."""
    logs.configure(CoreSettings(log_format="json"))
    try:
        raise RuntimeError("reason")
    except RuntimeError:
        logging.getLogger("uvicorn.error").exception("It went %s", "wrong")

    line = json.loads(capsys.readouterr().out)
    assert (line["event"], line["level"], line["logger"]) == ("It went wrong", "error", "uvicorn.error")
    assert "RuntimeError: reason" in line["exception"]
    assert line["timestamp"].endswith("Z")


def test_console(capsys: pytest.CaptureFixture[str]) -> None:
    """For people, lines are text."""
    logs.configure(CoreSettings(log_format="console", log_level="INFO"))
    logging.getLogger("library").info("Hello")

    assert "Hello" in capsys.readouterr().out


def test_uvicorn_writes_no_access_line() -> None:
    """One access line for each request is enough, and ours knows the request id."""
    logs.configure(CoreSettings())

    assert not logging.getLogger("uvicorn.access").hasHandlers()
