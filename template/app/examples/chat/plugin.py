"""The demo page under `/demo`."""

from pathlib import Path

from fastapi import FastAPI

from app.examples.chat.settings import ChatSettings
from keel.web.static_pages import mount_pages

PATH = "/demo"


def install(app: FastAPI) -> None:
    """Serve the page, unless `CHAT_DEMO` is off. A plugin, since it is not below `/api/v1` as routers are."""
    if ChatSettings.load().demo:
        mount_pages(app, PATH, Path(__file__).parent / "pages")
