"""HTTP for chat: rooms and their history. Messages are sent over the socket, `app.examples.chat.live`."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, FastAPI, Query, Request, Response, status

from app.examples.chat.dependencies import READ, WRITE, ChatDep, ChatReadDep
from app.examples.chat.live import documents
from app.examples.chat.live.endpoint import ChatState
from app.examples.chat.live.endpoint import router as sockets
from app.examples.chat.live.presence import SHOWN
from app.examples.chat.live.room import LiveRoom
from app.examples.chat.live.room_registry import RoomRegistry
from app.examples.chat.schemas import ChatMessage, PageQuery, Room, RoomCreate, RoomDetail
from app.examples.chat.service import RoomNotFound
from app.examples.chat.settings import ChatSettings
from keel.dependencies import ServicesDep
from keel.identity import RESPONSES
from keel.services import services_of
from keel.web import errors
from keel.web.pagination import Page, link_header
from keel.websockets.dependencies import PresenceDep

SCOPES = {READ: "Read chat rooms", WRITE: "Open chat rooms and write in them"}


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[ChatState]:
    """Run the rooms of this process; sockets find them in the lifespan's state."""
    async with RoomRegistry.running(services_of(app), ChatSettings.load()) as rooms:
        yield {"chat_rooms": rooms}


router = APIRouter(prefix="/chat", tags=["chat"], responses=RESPONSES, lifespan=lifespan)
router.include_router(sockets)

NOT_FOUND = errors.responses(RoomNotFound)


@router.get("/rooms")
async def list_rooms(
    query: Annotated[PageQuery, Query()], chat: ChatReadDep, request: Request, response: Response
) -> Page[Room]:
    """List the rooms, newest first. The `Link` header and `next` lead to the following page."""
    page = await chat.rooms(query)
    response.headers["Link"] = link_header(request, page.next)
    return page


@router.post("/rooms", status_code=status.HTTP_201_CREATED)
async def open_room(data: RoomCreate, chat: ChatDep, request: Request, response: Response) -> Room:
    """Open a room."""
    room = await chat.open(data)
    response.headers["Location"] = f"{request.url.path}/{room.id}"
    return room


@router.get("/rooms/{room}", responses=NOT_FOUND)
async def read_room(room: UUID, chat: ChatReadDep, presence: PresenceDep) -> RoomDetail:
    """Read a room and the members that are connected."""
    found = await chat.room(room)
    members = await presence.members(LiveRoom.topic(room))
    return RoomDetail(**found.model_dump(), present=members[:SHOWN], present_count=len(members))


@router.get("/rooms/{room}/messages", responses=NOT_FOUND)
async def list_messages(
    room: UUID, query: Annotated[PageQuery, Query()], chat: ChatReadDep, request: Request, response: Response
) -> Page[ChatMessage]:
    """List the messages of a room, newest first. The `Link` header and `next` lead to older ones."""
    page = await chat.messages(room, query)
    response.headers["Link"] = link_header(request, page.next)
    return page


@router.get("/asyncapi.json", include_in_schema=False)
async def read_asyncapi(services: ServicesDep) -> dict[str, Any]:
    """Describe the socket for tools, where API documents are served at all.

    Raises:
        NotFound: `API_DOCS` is off.
    """
    if not services.settings.api_docs:
        raise errors.NotFound("Documents are not served here.")
    return documents.asyncapi()
