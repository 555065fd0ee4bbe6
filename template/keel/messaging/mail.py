"""E-mail: logged on a developer's machine, sent by SMTP (RFC 5321) elsewhere."""

from collections.abc import Callable, Mapping
from email.message import EmailMessage
from typing import Annotated, Any, Protocol, Self
from urllib.parse import unquote, urlsplit

import structlog
from pydantic import AfterValidator, BaseModel, Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from keel.background.jobs import Handler, Jobs
from keel.db.database import Session
from keel.settings import Settings

JOB = "core.mail"

log = structlog.get_logger()


def _smtp_url(value: SecretStr) -> SecretStr:
    parts = urlsplit(value.get_secret_value())
    if parts.scheme not in {"smtp", "smtps"} or not parts.hostname:
        raise ValueError("write smtp://user:password@host:587 (STARTTLS) or smtps://user:password@host:465")
    return value


class MailSettings(Settings):
    """The SMTP server and the sender."""

    model_config = SettingsConfigDict(env_prefix="MAIL_")

    url: Annotated[SecretStr, AfterValidator(_smtp_url)] | None = None
    """`smtp://` or `smtps://`; if empty, e-mail is written to the log in local, and fails elsewhere."""

    sender: str = "no-reply@localhost"

    starttls: bool | None = None
    """Whether `smtp://` requires STARTTLS; by default, it is used if the server offers it."""

    timeout: Annotated[float, Field(gt=0)] = 10.0
    """Timeout of sending an e-mail, in seconds."""

    @model_validator(mode="after")
    def _name_a_sender(self) -> Self:
        if self.deployed and self.url is not None and self.sender == type(self).model_fields["sender"].default:
            raise ValueError(f"MAIL_SENDER: set it when ENVIRONMENT={self.environment.value} and MAIL_URL is set")
        return self


class Mail(BaseModel):
    """An e-mail to one recipient, as plain text and HTML."""

    to: str
    subject: str
    text: str
    html: str


class Mailer(Protocol):
    """Sends e-mail."""

    async def send(self, mail: Mail) -> None:
        """Send an e-mail; raise if the server did not accept it."""


class ConsoleMailer:
    """Writes e-mail to the log, for development."""

    async def send(self, mail: Mail) -> None:
        """Log the e-mail as plain text, so that its links can be clicked."""
        await log.ainfo(f"An e-mail to {mail.to}: {mail.subject}\n\n{mail.text}\n")


class SmtpMailer:
    """Sends e-mail to an SMTP server."""

    def __init__(self, settings: MailSettings, url: SecretStr) -> None:
        self._settings = settings
        self._url = urlsplit(url.get_secret_value())

    async def send(self, mail: Mail) -> None:
        """Send an e-mail."""
        import aiosmtplib

        message = EmailMessage()
        message["From"] = self._settings.sender
        message["To"] = mail.to
        message["Subject"] = mail.subject
        message.set_content(mail.text)
        message.add_alternative(mail.html, subtype="html")
        await aiosmtplib.send(
            message,
            hostname=self._url.hostname,
            port=self._url.port,
            username=unquote(self._url.username) if self._url.username else None,
            password=unquote(self._url.password) if self._url.password else None,
            use_tls=self._url.scheme == "smtps",
            start_tls=self._settings.starttls if self._url.scheme == "smtp" else False,
            timeout=self._settings.timeout,
        )


class NoMailer:
    """Used when no server is configured outside local."""

    async def send(self, mail: Mail) -> None:
        """Raise, since a silent loss would go unnoticed."""
        raise RuntimeError(f"MAIL_URL is not set: the e-mail {mail.subject!r} was not sent")


async def enqueue(jobs: Jobs, session: Session, mail: Mail) -> None:
    """Send an e-mail once the session's transaction is committed."""
    await jobs.enqueue(session, JOB, mail.model_dump())


def make_mailer() -> Mailer:
    """Return the mailer that the settings select.

    Raises:
        SettingsError: a setting is missing or wrong; the message names the variable.
    """
    settings = MailSettings.load()
    if settings.url:
        return SmtpMailer(settings, settings.url)
    return NoMailer() if settings.deployed else ConsoleMailer()


def sender(mailer: Callable[[], Mailer]) -> Handler:
    """Return the handler of the job that sends e-mail."""

    async def send(_: Session, payload: Mapping[str, Any]) -> None:
        await mailer().send(Mail.model_validate(payload))

    return send
