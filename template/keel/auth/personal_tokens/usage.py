"""Last use of personal tokens: written in batches, in the background."""

import asyncio
from contextvars import Context
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from keel.auth.audit import Audit
from keel.auth.personal_tokens.repository import PersonalTokenRepository
from keel.db.database import Database

EVERY = timedelta(minutes=1)
"""The shortest interval between two writes for one token."""

DELAY = 1.0
"""Seconds for which uses are collected: SQLite has one writer, and the request that used the token may need it."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Use:
    """A use of a token."""

    token_id: UUID
    subject: str
    at: datetime
    first: bool


class PersonalTokenUsage:
    """Collects uses and writes them; a failed write is dropped, since the next use makes up for it."""

    def __init__(self, audit: Audit) -> None:
        self._audit = audit
        self._uses: dict[UUID, Use] = {}
        self._writing: asyncio.Task[None] | None = None
        self._now = asyncio.Event()

    def note(self, database: Database, use: Use) -> None:
        """Schedule the write of a use."""
        self._uses.setdefault(use.token_id, use)
        if self._writing is None or self._writing.done():
            # In a new context: the log lines of many uses do not belong to the first request.
            self._writing = asyncio.create_task(self._write_all(database), context=Context())

    async def settle(self) -> None:
        """Write collected uses now, and wait until that is done."""
        self._now.set()
        if self._writing is not None:
            await asyncio.wait([self._writing])
        self._now.clear()

    async def _write_all(self, database: Database) -> None:
        while self._uses:
            await self._gather()
            uses, self._uses = self._uses, {}
            try:
                await self._write(database, uses)
            except Exception as error:  # noqa: BLE001 - requests must not fail because of this
                await log.awarning("personal_token_use_lost", error=repr(error))

    async def _gather(self) -> None:
        try:
            async with asyncio.timeout(DELAY):
                await self._now.wait()
        except TimeoutError:
            return

    async def _write(self, database: Database, uses: dict[UUID, Use]) -> None:
        async with database.transaction() as session:
            tokens = PersonalTokenRepository(session)
            # In order of their ids, so that two processes do not deadlock.
            written = [
                use
                for _, use in sorted(uses.items())
                if await tokens.touch(use.token_id, use.at, first=use.first, every=EVERY)
            ]
        for use in written:
            if use.first:
                self._audit.event("personal_token_first_used", subject=use.subject, token=str(use.token_id))
