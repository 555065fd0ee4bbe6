"""Settings of analytics."""

from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from keel.settings import Settings


class AnalyticsSettings(Settings):
    """Limits of computation and concurrency, and caching."""

    model_config = SettingsConfigDict(env_prefix="ANALYTICS_")

    max_rows: Annotated[int, Field(ge=1)] = 1_000_000
    """The most rows of a streamed table; a larger one is refused before it begins."""

    chunk_rows: Annotated[int, Field(ge=1, le=100_000)] = 5_000
    """Rows that a stream reads, encodes and keeps in memory at a time."""

    threads: Annotated[int, Field(ge=1, le=64)] = 2
    """Threads of a process that build tables; further requests wait."""

    cache_seconds: Annotated[float, Field(ge=1, le=86_400)] = 300.0
    """Seconds that computed statistics are cached, unless their data change earlier."""
