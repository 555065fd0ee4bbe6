"""Settings of the worker."""

from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from keel.settings import DevDefault, Settings, split_commas

IN_PROCESS = "memory"
BROKERS = {"amqp", "amqps", "redis", "rediss", "sentinel", IN_PROCESS}

KEY_LENGTH = 32


def _known(value: SecretStr) -> SecretStr:
    parts = urlsplit(value.get_secret_value())
    if parts.scheme not in BROKERS or (parts.scheme != IN_PROCESS and not parts.hostname):
        raise ValueError("write amqp://user:password@host:5672/vhost or redis://user:password@host:6379/1")
    return value


def _long(keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    if any(len(key.get_secret_value()) < KEY_LENGTH for key in keys):
        raise ValueError(
            f"a key has at least {KEY_LENGTH} characters; make one with: "
            'python3 -c "import secrets; print(secrets.token_urlsafe(32))"'
        )
    return keys


class WorkerSettings(Settings):
    """How tasks are carried out."""

    model_config = SettingsConfigDict(env_prefix="WORKER_")

    broker_url: Annotated[SecretStr, AfterValidator(_known), DevDefault] = SecretStr("memory://")
    """`amqp://` (RabbitMQ), `redis://`, with TLS `amqps://` and `rediss://`; `memory://`: this process does the tasks."""

    queue: Annotated[str, Field(pattern=r"^[\w.-]{1,100}$")] = "tasks"
    """The queue's name, so that several applications can share a broker."""

    signing_keys: Annotated[tuple[SecretStr, ...], NoDecode, split_commas, AfterValidator(_long)] = ()
    """Keys that messages are signed with: the first signs, all verify; without any, messages are not signed."""

    concurrency: Annotated[int, Field(ge=1)] = 2
    """Processes of a worker; each does one task at a time."""

    attempts: Annotated[int, Field(ge=1)] = 5
    """Times that a task is begun before it is given up."""

    backoff: Annotated[float, Field(ge=0)] = 2.0
    """Seconds before the second attempt; they double with each, and vary by chance."""

    backoff_max: Annotated[float, Field(ge=0)] = 600.0
    """Seconds that lie between two attempts at most."""

    soft_limit: Annotated[float, Field(gt=0)] = 300.0
    """Seconds after which a task is interrupted, and counts as failed."""

    hard_limit: Annotated[float, Field(gt=0)] = 330.0
    """Seconds after which the process of a task that could not be interrupted is killed."""

    lease: Annotated[float, Field(ge=1)] = 30.0
    """Seconds without a sign of life after which a task is given to another process."""

    exports: Annotated[int, Field(ge=1)] = 3
    """Exports of one caller that may be unfinished at a time."""

    keep_days: Annotated[float, Field(gt=0)] = 7.0
    """Days that a finished task and its result are kept."""

    @property
    def in_process(self) -> bool:
        """Whether the process that takes a task does it, without a broker."""
        return urlsplit(self.broker_url.get_secret_value()).scheme == IN_PROCESS

    @model_validator(mode="after")
    def _check_limits(self) -> Self:
        if self.hard_limit <= self.soft_limit:
            raise ValueError("WORKER_HARD_LIMIT: it must be longer than WORKER_SOFT_LIMIT")
        if self.deployed and self.in_process:
            raise ValueError(f"WORKER_BROKER_URL: name a broker when ENVIRONMENT={self.environment.value}")
        return self
