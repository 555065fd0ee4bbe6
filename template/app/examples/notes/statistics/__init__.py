"""Statistics of notes: joins, aggregates and windows in SQL, and responses as tables."""

from pathlib import Path

from fastapi import FastAPI

from app.examples.notes.statistics import router
from keel.web.static_pages import mount_pages

PATH = "/demo/statistics"


def install(app: FastAPI) -> None:
    """Add the endpoints below `/api/v1/notes/statistics`, and the page under `/demo/statistics`."""
    app.include_router(router.router, prefix="/api/v1")
    mount_pages(app, PATH, Path(__file__).parent / "pages")
