"""Request and response models."""

from datetime import date, timedelta
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from keel import clock


class Day(BaseModel):
    """Changes to your notes on one day (UTC)."""

    model_config = ConfigDict(from_attributes=True)

    day: date
    created: int
    updated: int
    deleted: int


class ActivityQuery(BaseModel):
    """The range of days."""

    model_config = ConfigDict(extra="forbid")

    days: Annotated[int, Field(ge=1, le=366, description="How many days, up to today")] = 30

    @property
    def since(self) -> date:
        """The first day (UTC)."""
        return clock.now().date() - timedelta(days=self.days - 1)
