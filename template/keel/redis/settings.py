"""Settings of Redis."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from keel.redis.urls import Place
from keel.settings import DevDefault, Settings


def _known(value: SecretStr) -> SecretStr:
    Place.parse(value.get_secret_value())
    return value


class RedisSettings(Settings):
    """Where Redis is and how it is used."""

    model_config = SettingsConfigDict(env_prefix="REDIS_")

    url: Annotated[SecretStr, AfterValidator(_known), DevDefault] = SecretStr("redis://localhost:6379/0")
    """`redis://`, `rediss://` (TLS), `unix://`, or with `+sentinel` or `+cluster`: see `keel.redis.urls`."""

    prefix: Annotated[str, Field(pattern=r"^[^{}\s]*$")] = "app:"
    """Begins every key, so that several applications can share a server."""

    pool_size: Annotated[int, Field(ge=2)] = 20
    """Connections of one process; one of them listens."""

    pool_timeout: Annotated[float, Field(gt=0)] = 0.5
    """Seconds that a command waits for a connection."""

    connect_timeout: Annotated[float, Field(gt=0)] = 1.0
    """Seconds that opening a connection may take."""

    timeout: Annotated[float, Field(gt=0)] = 0.5
    """Seconds that a request waits for Redis, all attempts together; then it goes on without."""

    rate_limit_fallback: Literal["local", "open", "closed"] = "local"
    """While Redis is away: each process counts for itself, nobody counts, or everybody is refused (503)."""

    required: bool = False
    """Whether a process is not ready without Redis; it works without, so it is only reported unless set."""

    history: Annotated[int, Field(ge=1)] = 256
    """Messages of a topic that can be resumed from."""

    history_seconds: Annotated[float, Field(ge=10)] = 3600.0
    """Seconds after its last use that a topic's history is kept."""

    @model_validator(mode="after")
    def _refuse_open_servers(self) -> Self:
        place = Place.parse(self.url.get_secret_value())
        if self.deployed and not place.local and not place.authenticated:
            raise ValueError(f"{self.variable('url')}: give a password (or a client certificate) for a remote server")
        return self
