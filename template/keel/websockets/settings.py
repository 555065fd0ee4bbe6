"""Limits of every WebSocket connection."""

from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from keel.settings import Rate, Settings


class WebSocketsSettings(Settings):
    """Limits of every WebSocket connection."""

    model_config = SettingsConfigDict(env_prefix="WEBSOCKETS_")

    message_rate: Rate = "50/second"
    """Frames of one caller in a window, over all their connections; each connection of a guest counts by itself. A client
    that exceeds it is read more slowly, and disconnected (4429) if that does not help."""

    max_per_caller: Annotated[int, Field(ge=1)] = 1000
    """Connections that one caller may have open in one process; guests count by address."""

    max_frame_size: Annotated[int, Field(ge=1024)] = 65_536
    """Bytes of a frame from a client; a larger one closes the connection (1009)."""

    send_queue_size: Annotated[int, Field(ge=64)] = 256
    """Frames that wait for one slow client before it is disconnected (4408)."""

    authenticate_seconds: Annotated[float, Field(gt=0)] = 10.0
    """Seconds that a client may take to send its token, if the handshake had none."""
