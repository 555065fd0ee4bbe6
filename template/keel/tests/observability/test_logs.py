"""Library lines have the application's format, and console lines are readable."""

import json
import logging
import sys
from io import StringIO

import pytest
import structlog
from alembic.runtime.migration import MigrationContext
from fastapi import FastAPI, Request, Response

from keel.about import ROOT
from keel.application import new_app
from keel.messaging.mail import ConsoleMailer, Mail
from keel.observability import logs
from keel.settings import CoreSettings
from keel.testing.support import running


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    """A library's line is JSON with logger, level, time and exception."""
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
    """Console lines are text."""
    logs.configure(CoreSettings(log_format="console", log_level="INFO"))
    logging.getLogger("library").info("Hello")

    assert "Hello" in capsys.readouterr().out


def test_uvicorn_writes_no_access_line() -> None:
    """There is one access log line per request: ours, with the request id."""
    logs.configure(CoreSettings())

    assert not logging.getLogger("uvicorn.access").hasHandlers()


def test_alembic_tells_of_revisions_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """Commands look at the schema first, and have to say nothing of it as a rule."""
    logs.configure(CoreSettings(log_format="console", log_level="INFO"))
    logging.getLogger("alembic").setLevel(logging.NOTSET)  # migrations printed as SQL raise it
    MigrationContext.configure(dialect_name="sqlite")
    logging.getLogger("alembic.runtime.migration").info("Running %s", "upgrade")

    (line,) = capsys.readouterr().out.splitlines()
    assert "Running upgrade" in line


@pytest.fixture
def faulty(environment: None, monkeypatch: pytest.MonkeyPatch) -> FastAPI:
    """Return an application with an owner's path operation and middleware, with console logs."""
    monkeypatch.setenv("LOG_FORMAT", "console")
    app = new_app()
    names: dict[str, object] = {"app": app, "Request": Request, "Response": Response}
    code = """
@app.middleware("http")
async def watch(request, call_next):
    return await call_next(request)

@app.get("/crash")
async def crash():
    secret = "s3cret"
    raise RuntimeError("the reason")
"""
    exec(compile(code, str(ROOT / "app" / "books" / "router.py"), "exec"), names)  # noqa: S102 - our own code
    return app


async def test_unexpected_error_is_short(faulty: FastAPI, capsys: pytest.CaptureFixture[str]) -> None:
    """On the console it has the owner's frames only, without local variables."""
    async with running(faulty) as client:
        assert (await client.get("/crash")).status_code == 500

    logged = capsys.readouterr().out
    assert "RuntimeError: the reason" in logged
    assert 'router.py", line 9, in crash' in logged
    assert "frames of libraries omitted" in logged
    assert "s3cret" not in logged
    assert len(logged.splitlines()) < 25


class Terminal(StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        """Return that it is one."""
        return True


@pytest.mark.parametrize(
    ("stream", "no_color", "coloured"), [(Terminal, "", True), (Terminal, "1", False), (StringIO, "", False)]
)
def test_colours(monkeypatch: pytest.MonkeyPatch, stream: type[StringIO], no_color: str, *, coloured: bool) -> None:
    """Colours are for terminals, unless NO_COLOR is set."""
    output = stream()
    monkeypatch.setattr(sys, "stdout", output)
    monkeypatch.setenv("NO_COLOR", no_color)
    logs.configure(CoreSettings(log_format="console", log_level="INFO"))
    structlog.get_logger().info("Hello", name="Ada")

    assert "Hello" in output.getvalue()
    assert ("\x1b" in output.getvalue()) is coloured


async def test_mail_is_readable(capsys: pytest.CaptureFixture[str]) -> None:
    """Its text is unchanged, with links unbroken on their own lines."""
    logs.configure(CoreSettings(log_format="console", log_level="INFO"))
    text = "Welcome!\n\nhttps://example.com/verify?token=abc\n"
    await ConsoleMailer().send(Mail(to="ada@example.com", subject="Verify", text=text, html=""))

    logged = capsys.readouterr().out
    assert "ada@example.com" in logged
    assert text in logged
