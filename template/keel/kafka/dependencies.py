"""FastAPI dependencies."""

from typing import Annotated

from fastapi import Depends

from keel.dependencies import ServicesDep
from keel.kafka.publishing.outbox import Outbox


async def get_outbox(services: ServicesDep) -> Outbox:
    """Return the outbox, in which events are recorded."""
    return services.kafka.outbox


OutboxDep = Annotated[Outbox, Depends(get_outbox)]
