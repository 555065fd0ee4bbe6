"""Settings: one class per package, read from the environment and `.env` once, when the application is built."""

import json
import os
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from limits import parse_many
from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from keel import about
from keel.web import hosts


class SettingsError(Exception):
    """A setting is missing or invalid; the message names the variable and what to do."""


class Environment(StrEnum):
    """Where the application runs; only `local` and `test` accept development defaults."""

    LOCAL = "local"
    TEST = "test"
    STAGING = "staging"
    PRODUCTION = "production"


class DevDefault:
    """Marks a field whose default is only for `local` and `test`; other environments must set the variable."""


class _ProjectDefaults(PydanticBaseSettingsSource):
    """Defaults of this project by variable, from `[tool.keel.defaults]` in `pyproject.toml`."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002 - as pydantic calls it
        """Return the project's default of a field, or None."""
        name = getattr(self.settings_cls, "variable")(field_name)  # noqa: B009 - of our own subclass
        return about.DEFAULTS.get(name), field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return the defaults of a class's fields."""
        values = {name: self.get_field_value(field, name)[0] for name, field in self.settings_cls.model_fields.items()}
        return {name: value for name, value in values.items() if value is not None}


class Settings(BaseSettings):
    """Base of every settings class.

    Values come from environment variables, then from the file `ENV_FILE` (by default `.env` of the project; empty for
    none), then from `[tool.keel.defaults]` in `pyproject.toml`. A package's class sets its own `env_prefix`.
    """

    model_config = SettingsConfigDict(
        env_file=os.environ.get("ENV_FILE", str(about.ROOT / ".env")) or None,
        env_file_encoding="utf-8",
        extra="ignore",
        frozen=True,
        validate_by_name=True,
    )

    environment: Annotated[Environment, Field(validation_alias="ENVIRONMENT")] = Environment.LOCAL

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Omit sources that are not configured: each takes as long as everything else in reading a class."""
        places = ((dotenv_settings, "env_file"), (file_secret_settings, "secrets_dir"))
        asked = (source for source, place in places if getattr(source, place, None))
        return (init_settings, env_settings, *asked, *([_ProjectDefaults(settings_cls)] if about.DEFAULTS else []))

    @classmethod
    def load(cls) -> Self:
        """Read the settings.

        Raises:
            SettingsError: a value is missing or invalid. The message does not repeat values, which may be secret.
        """
        try:
            return cls()
        except ValidationError as error:
            problems = [
                f"{cls.variable(str(e['loc'][0]))}: {e['msg']}" if e["loc"] else e["msg"].removeprefix("Value error, ")
                for e in error.errors(include_input=False, include_url=False)
            ]
        raise SettingsError("The settings are not valid:\n  " + "\n  ".join(problems))

    @classmethod
    def variable(cls, field: str) -> str:
        """Return the environment variable that sets a field."""
        info = cls.model_fields.get(field)
        alias = info.validation_alias if info else field
        return alias if isinstance(alias, str) else f"{cls.model_config.get('env_prefix', '')}{field}".upper()

    @property
    def deployed(self) -> bool:
        """Whether development defaults are refused."""
        return self.environment in {Environment.STAGING, Environment.PRODUCTION}

    @model_validator(mode="after")
    def _refuse_local_defaults(self) -> Self:
        if self.deployed:
            fields = type(self).model_fields.items()
            for name, info in fields:
                if DevDefault in info.metadata and getattr(self, name) == info.default:
                    raise ValueError(f"{self.variable(name)}: set it when ENVIRONMENT={self.environment.value}")
        return self


def _split(value: Any) -> Any:
    """Accept `a, b` as well as a JSON list."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return json.loads(value)
    return [item.strip() for item in value.split(",") if item.strip()]


def _rate(value: str) -> str:
    if value:
        try:
            parse_many(value)
        except ValueError:
            raise ValueError("write a rate such as 600/minute") from None
    return value


def _each(check: Callable[[str], str]) -> AfterValidator:
    return AfterValidator(lambda values: tuple(map(check, values)))


split_commas = BeforeValidator(_split)
"""Accepts a field of several names or keys as a comma-separated list."""

CommaSeparated = Annotated[tuple[str, ...], NoDecode, split_commas]
"""Several names in one variable, separated by commas (or a JSON list)."""

Rate = Annotated[str, AfterValidator(_rate)]
"""Rates in the notation of `limits`, such as `600/minute`; separate several with semicolons; "" means no limit."""


class CoreSettings(Settings):
    """Settings of the platform itself."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["auto", "console", "json"] = "auto"
    """`auto`: human-readable in local, JSON elsewhere."""

    allowed_hosts: Annotated[CommaSeparated, _each(hosts.host), DevDefault] = ("*",)
    """Host names that requests may use; `*.example.com` matches any subdomain, `*` any host."""

    cors_origins: Annotated[CommaSeparated, _each(hosts.origin)] = ()
    """Origins whose scripts may call the API from a browser."""

    cors_headers: CommaSeparated = ()
    """Request headers that these scripts may send, in addition to the platform's."""

    rate_limit: Rate = "600/minute"
    """Rate limit of requests for each caller (or client address)."""

    max_body_size: Annotated[int, Field(ge=1)] = 1_048_576
    """The largest request body, in bytes."""

    max_body_items: Annotated[int, Field(ge=1)] = 10_000
    """The most members and elements of a JSON body."""

    streams_per_caller: Annotated[int, Field(ge=1)] = 20
    """Streams that one caller (or one client address) may have open in one process."""

    max_streams: Annotated[int, Field(ge=1)] = 500
    """Streams that one process may have open."""

    readiness_timeout: Annotated[float, Field(gt=0)] = 2.0
    """Timeout of one readiness check, in seconds."""

    api_docs: bool = True
    """Whether `/docs`, `/redoc` and `/openapi.json` are served."""

    @property
    def json_logs(self) -> bool:
        """Whether log lines are JSON."""
        if self.log_format == "auto":
            return self.environment is not Environment.LOCAL
        return self.log_format == "json"
