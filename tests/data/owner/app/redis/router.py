"""HTTP for the owner's own redis."""

from fastapi import APIRouter

router = APIRouter(prefix="/harbour/redis", tags=["harbour"])


@router.get("")
async def read_redis() -> dict[str, str]:
    """Tell whose this is."""
    return {"redis": "ours"}
