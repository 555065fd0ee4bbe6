"""Settings of analytics."""

from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from keel.settings import Settings


class AnalyticsSettings(Settings):
    """How much is computed, and how much at once."""

    model_config = SettingsConfigDict(env_prefix="ANALYTICS_")

    max_rows: Annotated[int, Field(ge=1)] = 1_000_000
    """Rows that a streamed table may have; a larger one is refused before it begins."""

    chunk_rows: Annotated[int, Field(ge=1, le=100_000)] = 5_000
    """Rows that are read and encoded at a time: what a stream holds in memory."""

    threads: Annotated[int, Field(ge=1, le=64)] = 2
    """Threads of a process that build tables; more requests wait."""

    cache_seconds: Annotated[float, Field(ge=1, le=86_400)] = 300.0
    """Seconds that computed statistics are kept, if nothing that they are made of changes before."""
