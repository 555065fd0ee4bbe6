"""Who is calling.

Keel renders this file from your answers: change nothing here. Without a feature that signs callers in, everybody is
the same guest, and rows belong to the guest.
"""

from typing import Annotated, Any

from fastapi import Depends

from app.core.caller import GUEST, Caller


async def current_caller() -> Caller:
    """Return the guest, whoever asks."""
    return GUEST


CallerDep = Annotated[Caller, Depends(current_caller)]

RESPONSES: dict[int | str, dict[str, Any]] = {}
"""What identifying a caller can answer, for a router's `responses=`."""
