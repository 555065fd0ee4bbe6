"""HTTP for the owner's own auth."""

from fastapi import APIRouter

router = APIRouter(prefix="/harbour/auth", tags=["harbour"])


@router.get("")
async def read_auth() -> dict[str, str]:
    """Tell whose this is."""
    return {"auth": "ours"}
