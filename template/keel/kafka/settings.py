"""Settings of Kafka: the brokers, the relay and the consumers."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from keel import about
from keel.settings import CommaSeparated, DevDefault, Settings

NAME = r"^[A-Za-z0-9._-]{1,100}$"
"""What topics and consumers may be called."""

File = Annotated[Path | None, BeforeValidator(lambda value: value or None)]
"""A path; empty: none."""


class KafkaSettings(Settings):
    """Where the brokers are, and how events are sent and received."""

    model_config = SettingsConfigDict(env_prefix="KAFKA_")

    bootstrap_servers: Annotated[CommaSeparated, DevDefault] = ()
    """`host:port` of some brokers; none: events wait in the outbox, and neither relay nor consumers start."""

    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    sasl_username: str = ""
    sasl_password: SecretStr = SecretStr("")

    tls_ca: File = None
    """Authorities of the brokers' certificates, a PEM file; None: those of the system."""
    tls_certificate: File = None
    """Our certificate chain, a PEM file, for brokers that ask for one."""
    tls_key: File = None

    topic_prefix: Annotated[str, Field(pattern=NAME)] = about.SLUG
    """Topics are called `<prefix>.<aggregate>`, groups of consumers `<prefix>.<consumer>`."""

    partitions: Annotated[int, Field(ge=1, le=1000)] = 6
    """Partitions of a topic that `python -m app kafka topics` creates. More later would move keys to other partitions."""

    replication_factor: Annotated[int, Field(ge=1, le=10)] = 1
    """Copies of each of them."""

    topic_retention_days: Annotated[float, Field(gt=0)] = 30.0
    """Days that such a topic keeps an event."""

    compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = "lz4"

    timeout: Annotated[float, Field(gt=0)] = 10.0
    """Seconds that a broker may take to answer a request."""

    session_timeout: Annotated[float, Field(ge=1)] = 10.0
    """Seconds without a heartbeat after which the group gives a consumer's partitions to another process."""

    max_event_size: Annotated[int, Field(ge=1, le=900_000)] = 65_536
    """Bytes of an event. Brokers take 1 MiB unless they are told otherwise."""

    relay_batch: Annotated[int, Field(ge=1, le=10_000)] = 500
    """Events that a relay reads at a time."""

    relay_poll: Annotated[float, Field(gt=0)] = 0.2
    """Seconds between two looks at an empty outbox."""

    relay_lease: Annotated[float, Field(gt=0)] = 30.0
    """Seconds after which what a killed relay had claimed is published by another."""

    max_outbox_age: Annotated[float, Field(gt=0)] = 60.0
    """Seconds that an event may wait before `/readyz` says degraded."""

    max_lag: Annotated[int, Field(ge=1)] = 10_000
    """Events that a consumer may be behind before `/readyz` says degraded."""

    consumer_batch: Annotated[int, Field(ge=1, le=1000)] = 100
    """Events of a partition that a consumer handles in one transaction."""

    handler_timeout: Annotated[float, Field(gt=0)] = 30.0
    """Seconds that the handler of an event may take."""

    max_attempts: Annotated[int, Field(ge=1)] = 5
    """Attempts at an event before it is a dead letter."""

    retry_backoff: Annotated[float, Field(ge=0)] = 1.0
    """Seconds before the second attempt; they double with each."""

    retry_backoff_max: Annotated[float, Field(ge=0)] = 300.0
    """Most seconds between two attempts."""

    max_waiting: Annotated[int, Field(ge=1)] = 10_000
    """Events of a consumer that may wait to be tried again; with more, it leaves the rest in the topic."""

    retention_days: Annotated[float, Field(gt=0)] = 7.0
    """Days that a published event stays in the outbox."""

    inbox_retention_days: Annotated[float, Field(gt=0)] = 30.0
    """Days that the id of a handled event is known; no message may come again later than that."""

    @property
    def connected(self) -> bool:
        """Whether there are brokers."""
        return bool(self.bootstrap_servers)

    @property
    def max_silence(self) -> float:
        """Seconds without a heartbeat after which a process hangs: more than one step of it may take."""
        return max(120.0, 2 * self.handler_timeout, 2 * self.relay_lease)

    def topic(self, aggregate: str) -> str:
        """Return the topic of the events of an aggregate, such as `notes`."""
        return f"{self.topic_prefix}.{aggregate}"

    def group(self, consumer: str) -> str:
        """Return the group of the processes of a consumer."""
        return f"{self.topic_prefix}.{consumer}"

    @model_validator(mode="after")
    def _check_security(self) -> Self:
        sasl, tls = self.security_protocol.startswith("SASL"), self.security_protocol.endswith("SSL")
        if sasl and not (self.sasl_username and self.sasl_password.get_secret_value()):
            raise ValueError("KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD: SASL needs both")
        if not tls and (self.tls_ca or self.tls_certificate or self.tls_key):
            raise ValueError("KAFKA_SECURITY_PROTOCOL: TLS needs SSL or SASL_SSL")
        if (self.tls_certificate is None) is not (self.tls_key is None):
            raise ValueError("KAFKA_TLS_CERTIFICATE and KAFKA_TLS_KEY: set both or none")
        return self
