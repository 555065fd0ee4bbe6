"""Plugging chat into the application."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI

from app.chat import demo, documents
from app.chat.hubs import Hubs
from app.chat.ownership import ChatRows
from app.chat.router import router
from app.chat.settings import ChatSettings
from app.chat.socket import router as sockets


def install_chat(app: FastAPI) -> None:
    """Add endpoints, the demonstration page, and the hubs, which live as long as the application runs."""
    settings = ChatSettings.load()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        async with Hubs.running(app, settings) as hubs:
            app.state.chat = hubs
            yield

    app.state.scopes |= {"chat:read": "Read and hear chat rooms", "chat:write": "Write in chat rooms and open them"}
    app.state.subjects.register(ChatRows())
    app.include_router(APIRouter(lifespan=lifespan))
    app.include_router(router, prefix="/api/v1")
    app.include_router(sockets, prefix="/api/v1")
    if app.state.settings.api_docs:
        documents.install(app)
    if settings.demo:
        demo.install(app)
