"""Settings of ships."""

from pydantic_settings import SettingsConfigDict

from keel.settings import Settings


class ShipsSettings(Settings):
    """How ships greet."""

    model_config = SettingsConfigDict(env_prefix="SHIPS_")

    greeting: str = "Ahoy"
