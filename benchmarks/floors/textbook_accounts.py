"""The textbook floor with what many projects do besides: the caller's account is read, and lists are counted."""

from typing import Annotated

import jwt
from fastapi import Depends, HTTPException
from pydantic import BaseModel
from sqlalchemy import func, select
from sqlalchemy.orm import Mapped, mapped_column
from textbook import (
    ALGORITHM,
    KEY,
    Base,
    Note,
    NoteRow,
    SessionDep,
    UserDep,
    app,
    get_current_user,
    oauth2_scheme,
)


class UserRow(Base):
    """A stored account."""

    __tablename__ = "floor_users"

    email: Mapped[str] = mapped_column(primary_key=True)
    is_active: Mapped[bool]


class Notes(BaseModel):
    """A page of notes, and how many there are."""

    data: list[Note]
    count: int


async def read_current_user(token: Annotated[str, Depends(oauth2_scheme)], session: SessionDep) -> str:
    """Return the subject of a valid token, whose account is there."""
    try:
        subject = jwt.decode(token, KEY, algorithms=[ALGORITHM])["sub"]
    except (jwt.InvalidTokenError, KeyError):
        raise HTTPException(401, headers={"WWW-Authenticate": "Bearer"}) from None
    user = await session.get(UserRow, subject)
    if user is None or not user.is_active:
        raise HTTPException(401)
    return subject


async def list_counted_notes(user: UserDep, session: SessionDep, limit: int = 20) -> Notes:
    """Return the latest notes, and how many there are."""
    own = select(NoteRow).where(NoteRow.owner_id == user)
    latest = own.order_by(NoteRow.created_at.desc(), NoteRow.id.desc()).limit(limit)
    count = await session.scalar(select(func.count()).select_from(NoteRow).where(NoteRow.owner_id == user))
    rows = await session.scalars(latest)
    return Notes(data=[Note.model_validate(row) for row in rows], count=count or 0)


app.dependency_overrides[get_current_user] = read_current_user
app.router.routes[:] = [route for route in app.router.routes if getattr(route, "name", "") != "list_notes"]
app.get("/api/v1/notes")(list_counted_notes)
