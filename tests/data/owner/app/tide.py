"""The tide: a route of the owner's that belongs to no package."""

from fastapi import APIRouter

router = APIRouter(tags=["tide"])


@router.get("/tide")
async def read_tide() -> dict[str, str]:
    """Tell the tide."""
    return {"tide": "rising"}
