"""HTTP for ships."""

from fastapi import APIRouter

from app.ships.settings import ShipsSettings

router = APIRouter(prefix="/ships", tags=["ships"])


@router.get("/greeting")
async def read_greeting() -> dict[str, str]:
    """Greet."""
    return {"greeting": ShipsSettings.load().greeting}
