"""Settings of Redis."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from keel import about
from keel.redis.urls import RedisUrl
from keel.settings import DevDefault, Settings


def _valid(value: SecretStr) -> SecretStr:
    RedisUrl.parse(value.get_secret_value())
    return value


class RedisSettings(Settings):
    """The server, and limits of its use."""

    model_config = SettingsConfigDict(env_prefix="REDIS_")

    url: Annotated[SecretStr, AfterValidator(_valid), DevDefault] = SecretStr("redis://localhost:6379/0")
    """`redis://`, `rediss://` (TLS), `unix://`, or with `+sentinel` or `+cluster`: see `keel.redis.urls`."""

    prefix: Annotated[str, Field(pattern=r"^[^{}\s]*$")] = f"{about.SLUG}:"
    """Prefix of every key, so that several applications can share a server."""

    pool_size: Annotated[int, Field(ge=2)] = 20
    """Connections per process; one of them is used for subscriptions."""

    pool_timeout: Annotated[float, Field(gt=0)] = 0.5
    """Timeout of waiting for a pooled connection, in seconds."""

    connect_timeout: Annotated[float, Field(gt=0)] = 1.0
    """Timeout of opening a connection, in seconds."""

    timeout: Annotated[float, Field(gt=0)] = 0.5
    """Timeout of a command including retries, in seconds; then the request continues without Redis."""

    rate_limit_fallback: Literal["local", "open", "closed"] = "local"
    """While Redis is unavailable, each process counts its own requests, nothing is counted, or requests get a 503."""

    required: bool = False
    """Whether `/readyz` answers 503 without Redis; by default it answers 200 and reports `degraded`."""

    stream_maxlen: Annotated[int, Field(ge=1)] = 256
    """Messages kept per topic, from which subscribers can resume."""

    stream_seconds: Annotated[float, Field(ge=10)] = 3600.0
    """Seconds that the messages of a topic are kept after its last use."""

    @model_validator(mode="after")
    def _reject_open_servers(self) -> Self:
        url = RedisUrl.parse(self.url.get_secret_value())
        if self.deployed and not url.local and not url.authenticated:
            raise ValueError(f"{self.variable('url')}: a remote server needs a password or a client certificate")
        return self
