"""Limits of every WebSocket connection."""

from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from keel.settings import Rate, Settings


class WebSocketsSettings(Settings):
    """Limits of every WebSocket connection."""

    model_config = SettingsConfigDict(env_prefix="WEBSOCKETS_")

    message_rate: Rate = "50/second"
    """Rate of frames of one caller, over all its connections; each connection of a guest counts by itself. A client
    that exceeds it is read more slowly, and disconnected (4429) if that does not help."""

    max_per_caller: Annotated[int, Field(ge=1)] = 1000
    """Connections that one caller may have open in one process; guests count by address."""

    max_frame_size: Annotated[int, Field(ge=1024)] = 65_536
    """Limit of a client's frame in bytes; a larger one closes the connection (1009)."""

    send_queue_size: Annotated[int, Field(ge=64)] = 256
    """Frames queued for one slow client before it is disconnected (4408)."""

    authenticate_seconds: Annotated[float, Field(gt=0)] = 10.0
    """Timeout of sending the token if the handshake had none, in seconds."""
