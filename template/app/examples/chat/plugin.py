"""Plugging chat into the application."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI

from app.examples.chat import demo, documents
from app.examples.chat.hubs import Hubs
from app.examples.chat.settings import ChatSettings
from app.examples.chat.socket import router as sockets
from keel.services import services_of


def install(app: FastAPI) -> None:
    """Add endpoints, the demonstration page, and the hubs, which live as long as the application runs."""
    settings = ChatSettings.load()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        async with Hubs.running(app, settings) as hubs:
            app.state.chat = hubs
            yield

    app.include_router(APIRouter(lifespan=lifespan))
    app.include_router(sockets, prefix="/api/v1")
    if services_of(app).settings.api_docs:
        documents.install(app)
    if settings.demo:
        demo.install(app)
