"""Settings of chat."""

from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from keel.settings import Rate, Settings


class ChatSettings(Settings):
    """What sockets may do, and how soon what went unheard is noticed."""

    model_config = SettingsConfigDict(env_prefix="CHAT_")

    message_rate: Rate = "50/second"
    """Frames of one caller in a window, over all their connections; a guest's connections count apart. Whoever sends
    more is read from more slowly, and disconnected (4429) if that does not help."""

    connections: Annotated[int, Field(ge=1)] = 1000
    """Connections that one caller may have at a time in one process; guests count by address."""

    frame_size: Annotated[int, Field(ge=1024)] = 65_536
    """Bytes of a frame that a client sends; a larger one ends the connection (1009)."""

    backlog: Annotated[int, Field(ge=64)] = 256
    """Messages and other frames that wait for one slow client before it is disconnected (4408)."""

    authenticate_seconds: Annotated[float, Field(gt=0)] = 10.0
    """Seconds that a client may take to say who it is, if the handshake did not."""

    poll_seconds: Annotated[float, Field(gt=0)] = 1.0
    """Seconds between looks into the database for messages that nobody announced."""

    presence_seconds: Annotated[float, Field(gt=0)] = 2.0
    """Seconds between looks at who is present in other processes."""

    demo: bool = True
    """Whether the demonstration page is served under `/demo`."""
