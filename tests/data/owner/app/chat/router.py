"""HTTP for the owner's own chat."""

from fastapi import APIRouter

router = APIRouter(prefix="/harbour/chat", tags=["harbour"])


@router.get("")
async def read_chat() -> dict[str, str]:
    """Tell whose this is."""
    return {"chat": "ours"}
