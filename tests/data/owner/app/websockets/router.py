"""HTTP for the owner's own websockets."""

from fastapi import APIRouter

router = APIRouter(prefix="/harbour/websockets", tags=["harbour"])


@router.get("")
async def read_websockets() -> dict[str, str]:
    """Tell whose this is."""
    return {"websockets": "ours"}
