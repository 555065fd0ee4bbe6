"""Dependencies: how a path operation gets the outbox."""

from typing import Annotated

from fastapi import Depends

from keel.dependencies import ServicesDep
from keel.kafka.publishing.outbox import Outbox


async def get_outbox(services: ServicesDep) -> Outbox:
    """Return where events are recorded."""
    return services.kafka.outbox


OutboxDep = Annotated[Outbox, Depends(get_outbox)]
