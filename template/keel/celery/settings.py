"""Settings of Celery.

Celery itself reads some environment variables of the same prefix. Of these settings, only `CELERY_BROKER_URL` is one of
them, with the same meaning; `keel.celery.broker.client` overrides how Celery uses it and `CELERY_RESULT_BACKEND`.
"""

from typing import Annotated, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from keel import about
from keel.celery.broker import tls
from keel.celery.broker.urls import get_scheme, split_addresses
from keel.settings import DevDefault, Settings, split_commas

IN_PROCESS = "memory"
BROKERS = {"amqp", "amqps", "redis", "rediss", "sentinel", IN_PROCESS}

KEY_LENGTH = 32


def _check_url(value: SecretStr) -> SecretStr:
    for address in split_addresses(value.get_secret_value()):
        if address.scheme not in BROKERS or (address.scheme != IN_PROCESS and not address.hostname):
            raise ValueError("write amqp://user:password@host:5672/vhost or redis://user:password@host:6379/1")
    tls.separate(value.get_secret_value())
    return value


def _check_keys(keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    if any(len(key.get_secret_value()) < KEY_LENGTH for key in keys):
        raise ValueError(
            f"a key must have at least {KEY_LENGTH} characters; make one with: "
            'python3 -c "import secrets; print(secrets.token_urlsafe(32))"'
        )
    return keys


class CelerySettings(Settings):
    """The broker, limits and retries of tasks."""

    model_config = SettingsConfigDict(env_prefix="CELERY_")

    broker_url: Annotated[SecretStr, AfterValidator(_check_url), DevDefault] = SecretStr("memory://")
    """`amqp://` (RabbitMQ), `redis://`, with TLS `amqps://`, `rediss://`; `memory://`: the server runs the tasks itself.
    TLS options in its query are those of `REDIS_URL`; certificates are verified."""

    queue: Annotated[str, Field(pattern=r"^[\w.-]{1,100}$")] = about.SLUG
    """The queue's name, so that several applications can share a broker."""

    signing_keys: Annotated[tuple[SecretStr, ...], NoDecode, split_commas, AfterValidator(_check_keys)] = ()
    """Keys for signing messages: the first signs, all verify; if empty, messages are not signed."""

    concurrency: Annotated[int, Field(ge=1)] = 2
    """Processes of a worker; each runs one task at a time."""

    max_attempts: Annotated[int, Field(ge=1)] = 5
    """Attempts before a task fails for good."""

    retry_backoff: Annotated[float, Field(ge=0)] = 2.0
    """Seconds before the second attempt; doubled with each further one, with jitter."""

    retry_backoff_max: Annotated[float, Field(ge=0)] = 600.0
    """The longest pause between two attempts, in seconds."""

    soft_time_limit: Annotated[float, Field(gt=0)] = 300.0
    """Seconds after which an attempt is interrupted, and counts as failed."""

    hard_time_limit: Annotated[float, Field(gt=0)] = 330.0
    """Seconds after which the process of an attempt that could not be interrupted is killed."""

    lease: Annotated[float, Field(ge=1)] = 30.0
    """Seconds without a heartbeat after which a task is given to another process."""

    max_concurrent_exports: Annotated[int, Field(ge=1)] = 3
    """Unfinished exports that a caller may have at once."""

    retention_days: Annotated[float, Field(gt=0)] = 7.0
    """Days that a finished task and its result are kept."""

    @property
    def in_process(self) -> bool:
        """Whether the server runs tasks itself, without a broker."""
        return get_scheme(self.broker_url.get_secret_value()) == IN_PROCESS

    @model_validator(mode="after")
    def _check_limits(self) -> Self:
        if self.hard_time_limit <= self.soft_time_limit:
            raise ValueError("CELERY_HARD_TIME_LIMIT: must be longer than CELERY_SOFT_TIME_LIMIT")
        if self.deployed and self.in_process:
            raise ValueError(f"CELERY_BROKER_URL: name a broker when ENVIRONMENT={self.environment.value}")
        return self
