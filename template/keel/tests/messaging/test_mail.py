"""Mail, sent to a real server on this machine."""

import asyncio
from collections.abc import AsyncIterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import partial

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from app.main import create_app
from keel.messaging.mail import ConsoleMailer, Mail, MailSettings, NoMailer, SmtpMailer
from keel.services import services_of
from keel.settings import SettingsError

MAIL = Mail(to="ada@example.com", subject="Grüße", text="Text", html="<p>HTML</p>")


class Post:
    """Keeps the messages that the server receives."""

    def __init__(self) -> None:
        self.messages: list[EmailMessage] = []

    async def handle_DATA(self, _: SMTP, __: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        """Keep a message."""
        assert isinstance(envelope.content, bytes)
        message = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.messages.append(message)
        return "250 OK"


@pytest.fixture
async def post() -> AsyncIterator[tuple[Post, str]]:
    """Return a mail server and its URL."""
    post = Post()
    server = await asyncio.get_running_loop().create_server(partial(SMTP, post), "127.0.0.1", 0)
    yield post, f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()
    await server.wait_closed()


async def test_smtp(post: tuple[Post, str], environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mail arrives as text and HTML, from the configured sender."""
    server, url = post
    monkeypatch.setenv("MAIL_URL", url)
    monkeypatch.setenv("MAIL_SENDER", "app@example.com")
    app = create_app()
    assert isinstance(services_of(app).mailer, SmtpMailer)

    await services_of(app).mailer.send(MAIL)

    (message,) = server.messages
    assert (message["From"], message["To"], message["Subject"]) == ("app@example.com", "ada@example.com", "Grüße")
    text, html = message.get_body(["plain"]), message.get_body(["html"])
    assert text is not None
    assert html is not None
    assert text.get_content().strip() == "Text"
    assert html.get_content().strip() == "<p>HTML</p>"


async def test_unavailable_server(environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mail that could not be sent raises, so that it is retried."""
    monkeypatch.setenv("MAIL_URL", "smtp://127.0.0.1:1")
    app = create_app()

    with pytest.raises(OSError, match=r"127\.0\.0\.1"):
        await services_of(app).mailer.send(MAIL)


async def test_console(environment: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Mail is written to the log, for developers."""
    monkeypatch.delenv("MAIL_URL", raising=False)
    monkeypatch.setenv("LOG_LEVEL", "INFO")
    app = create_app()
    assert isinstance(services_of(app).mailer, ConsoleMailer)
    await services_of(app).mailer.send(MAIL)

    logged = capsys.readouterr().out
    assert MAIL.to in logged
    assert MAIL.text in logged


async def test_no_server() -> None:
    """Without a server, sending is an error."""
    with pytest.raises(RuntimeError, match="MAIL_URL"):
        await NoMailer().send(MAIL)


def test_deployed_needs_a_sender(environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """In deployments nothing starts without a sender, because servers would refuse the mail."""
    monkeypatch.setenv("ENVIRONMENT", "production")
    monkeypatch.setenv("MAIL_URL", "smtps://mail.example.com")
    monkeypatch.delenv("MAIL_SENDER", raising=False)

    with pytest.raises(SettingsError, match="MAIL_SENDER: set it"):
        MailSettings.load()


@pytest.mark.parametrize("url", ["localhost", "http://localhost", "smtp://"])
def test_wrong_url(environment: None, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """The message says what to write."""
    monkeypatch.setenv("MAIL_URL", url)

    with pytest.raises(SettingsError, match="MAIL_URL: "):
        MailSettings.load()
