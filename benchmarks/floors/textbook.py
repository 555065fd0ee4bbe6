"""The textbook floor: FastAPI, its JWT and SQLAlchemy's async ORM as their documentation shows them, and no feature.

The access token says whose notes are meant; there are no accounts, and `TOKEN_KEY` is every user's password.
`POOL_SIZE` and `MAX_OVERFLOW` change the pool, to find out what SQLAlchemy's default (5 + 10) costs.
"""

import os
import secrets
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID, uuid4

import jwt
from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import OAuth2PasswordBearer, OAuth2PasswordRequestForm
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import DateTime, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

KEY = os.environ["TOKEN_KEY"]
ALGORITHM = "HS256"
oauth2_scheme = OAuth2PasswordBearer(tokenUrl="/api/v1/auth/token")
pool = {name.lower(): int(os.environ[name]) for name in ("POOL_SIZE", "MAX_OVERFLOW") if name in os.environ}
engine = create_async_engine(os.environ["DATABASE_URL"], **pool)
sessions = async_sessionmaker(engine, expire_on_commit=False)
app = FastAPI()


class Base(DeclarativeBase):
    """Base of the models."""

    type_annotation_map = {datetime: DateTime(timezone=True)}  # noqa: RUF012 - as in the textbook


class NoteRow(Base):
    """A stored note."""

    __tablename__ = "floor_notes"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    owner_id: Mapped[str]
    title: Mapped[str]
    body: Mapped[str]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class NoteCreate(BaseModel):
    """A new note."""

    title: str = Field(min_length=1, max_length=200)
    body: str = ""


class Note(NoteCreate):
    """A note."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    created_at: datetime
    updated_at: datetime


async def get_session() -> AsyncGenerator[AsyncSession]:
    """Give a request its session."""
    async with sessions() as session:
        yield session


async def get_current_user(token: Annotated[str, Depends(oauth2_scheme)]) -> str:
    """Return the subject of a valid token."""
    try:
        return jwt.decode(token, KEY, algorithms=[ALGORITHM])["sub"]
    except (jwt.InvalidTokenError, KeyError):
        raise HTTPException(401, headers={"WWW-Authenticate": "Bearer"}) from None


SessionDep = Annotated[AsyncSession, Depends(get_session)]
UserDep = Annotated[str, Depends(get_current_user)]


@app.get("/healthz")
async def health() -> dict[str, str]:
    """Answer."""
    return {"status": "ok"}


@app.post("/api/v1/auth/token")
async def sign_in(form: Annotated[OAuth2PasswordRequestForm, Depends()]) -> dict[str, str]:
    """Exchange a password for an access token."""
    if not secrets.compare_digest(form.password, KEY):
        raise HTTPException(400)
    claims = {"sub": form.username, "exp": datetime.now(UTC) + timedelta(minutes=15)}
    return {"access_token": jwt.encode(claims, KEY, ALGORITHM), "token_type": "bearer"}


@app.get("/api/v1/notes/{note_id}", response_model=Note)
async def read_note(note_id: UUID, user: UserDep, session: SessionDep) -> NoteRow:
    """Return one note."""
    found = await session.scalars(select(NoteRow).where(NoteRow.id == note_id, NoteRow.owner_id == user))
    note = found.one_or_none()
    if note is None:
        raise HTTPException(404)
    return note


@app.get("/api/v1/notes", response_model=list[Note])
async def list_notes(user: UserDep, session: SessionDep, limit: int = 20) -> list[NoteRow]:
    """Return the latest notes."""
    latest = (
        select(NoteRow).where(NoteRow.owner_id == user).order_by(NoteRow.created_at.desc(), NoteRow.id.desc())
    )
    return list(await session.scalars(latest.limit(limit)))


@app.post("/api/v1/notes", response_model=Note, status_code=201)
async def create_note(data: NoteCreate, user: UserDep, session: SessionDep) -> NoteRow:
    """Add a note."""
    moment = datetime.now(UTC)
    note = NoteRow(**data.model_dump(), owner_id=user, created_at=moment, updated_at=moment)
    session.add(note)
    await session.commit()
    return note
