"""HTTP for chat: rooms and their history. What is said goes over the socket."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response, status

from app.examples.chat.attendance import SHOWN
from app.examples.chat.dependencies import ChatDep, ChatReadDep
from app.examples.chat.hub import Hub
from app.examples.chat.schemas import ChatMessage, PageQuery, Room, RoomCreate, RoomDetail
from app.examples.chat.service import RoomNotFound
from keel.dependencies import PresenceDep
from keel.identity import RESPONSES
from keel.web import errors
from keel.web.pagination import Page, link_header

SCOPES = {"chat:read": "Read and hear chat rooms", "chat:write": "Write in chat rooms and open them"}

router = APIRouter(prefix="/chat/rooms", tags=["chat"], responses=RESPONSES)

NOT_FOUND = errors.responses(RoomNotFound)


@router.get("")
async def list_rooms(
    query: Annotated[PageQuery, Query()], chat: ChatReadDep, request: Request, response: Response
) -> Page[Room]:
    """List the rooms, the newest first. The `Link` header and `next` lead to the following page."""
    page = await chat.rooms(query)
    response.headers["Link"] = link_header(request, page.next)
    return page


@router.post("", status_code=status.HTTP_201_CREATED)
async def open_room(data: RoomCreate, chat: ChatDep, request: Request, response: Response) -> Room:
    """Open a room."""
    room = await chat.open(data)
    response.headers["Location"] = f"{request.url.path}/{room.id}"
    return room


@router.get("/{room}", responses=NOT_FOUND)
async def read_room(room: UUID, chat: ChatReadDep, presence: PresenceDep) -> RoomDetail:
    """Read a room, and who is in it."""
    found = await chat.room(room)
    members = await presence.members(Hub.topic(room))
    return RoomDetail(**found.model_dump(), present=members[:SHOWN], present_count=len(members))


@router.get("/{room}/messages", responses=NOT_FOUND)
async def list_messages(
    room: UUID, query: Annotated[PageQuery, Query()], chat: ChatReadDep, request: Request, response: Response
) -> Page[ChatMessage]:
    """Read what was said in a room, the newest first. The `Link` header and `next` lead further into the past."""
    page = await chat.messages(room, query)
    response.headers["Link"] = link_header(request, page.next)
    return page
