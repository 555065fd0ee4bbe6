"""Request and response models."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from keel.text import NO_NUL


class BeaconCreate(BaseModel):
    """A new beacon."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=100, pattern=NO_NUL)]
    candela: Annotated[int, Field(ge=1, le=1_000_000)]


class Beacon(BaseModel):
    """A beacon, with its brightness as people read it."""

    name: str
    brightness: str
