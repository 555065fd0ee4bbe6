"""Settings of chat."""

from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from keel.settings import Settings


class ChatSettings(Settings):
    """Polling intervals and the demo page of chat."""

    model_config = SettingsConfigDict(env_prefix="CHAT_")

    poll_seconds: Annotated[float, Field(gt=0)] = 1.0
    """Seconds between queries for messages that were stored but not announced."""

    presence_seconds: Annotated[float, Field(gt=0)] = 2.0
    """Seconds between queries for the members that are connected to other processes."""

    demo: bool = True
    """Whether the demo page is served under `/demo`."""
