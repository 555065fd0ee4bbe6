"""Queries on answers under way and on usage."""

from collections.abc import Collection, Sequence
from datetime import date, datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import CursorResult, bindparam, delete, func, select, update
from sqlalchemy.exc import IntegrityError

from keel.db.database import AnyRow
from keel.db.repository import Repository, insert_one
from keel.llm.model.turns import Usage
from keel.llm.models import LlmAnswer, LlmUsage

_BEAT = (
    update(LlmAnswer)
    .where(LlmAnswer.id == bindparam("answer_id"))
    .values({name: bindparam(name) for name in ("text", "tools", "input_tokens", "output_tokens", "heartbeat_at")})
    .execution_options(synchronize_session=False)
)


class AnswerRepository(Repository[LlmAnswer]):
    """Answers under way."""

    model = LlmAnswer

    async def beat(self, rows: Sequence[dict[str, Any]]) -> None:
        """Store the progress of answers, each with its `answer_id`."""
        connection = await self.writing.connection()
        await connection.execute(_BEAT, rows)

    async def states(self, ids: Collection[UUID]) -> dict[UUID, bool]:
        """Return which of some answers exist, and whether each should stop."""
        rows = await self.session.all(select(LlmAnswer.id, LlmAnswer.stop_requested).where(LlmAnswer.id.in_(list(ids))))
        return {row.id: row.stop_requested for row in rows}

    async def stop(self, answer_id: UUID) -> bool:
        """Request that an answer stops; return whether it is under way."""
        statement = update(LlmAnswer).where(LlmAnswer.id == answer_id).values(stop_requested=True)
        return bool(cast("CursorResult[Any]", await self.writing.execute(statement)).rowcount)

    async def silent(self, before: datetime, limit: int) -> Sequence[UUID]:
        """Return the ids of answers without a heartbeat since a time."""
        rows = await self.session.all(select(LlmAnswer.id).where(LlmAnswer.heartbeat_at < before).limit(limit))
        return [row.id for row in rows]

    async def release(self, answer_id: UUID, silent_since: datetime | None = None) -> AnyRow | None:
        """Delete and return the row of an answer; None if it is gone, or has had a heartbeat since a time."""
        statement = delete(LlmAnswer).where(LlmAnswer.id == answer_id)
        if silent_since is not None:
            statement = statement.where(LlmAnswer.heartbeat_at < silent_since)
        return await self.writing.first(statement.returning(*LlmAnswer.__table__.columns))


class UsageRepository(Repository[LlmUsage]):
    """Tokens by caller, day and purpose."""

    model = LlmUsage

    async def total(self, owner_id: str, day: date) -> int:
        """Return the tokens that a caller has used on a day."""
        used = func.coalesce(func.sum(LlmUsage.input_tokens + LlmUsage.output_tokens), 0)
        rows = await self.session.all(select(used).where(LlmUsage.owner_id == owner_id, LlmUsage.day == day))
        return int(rows[0][0])

    async def add_tokens(self, owner_id: str, day: date, purpose: str, usage: Usage) -> None:
        """Add to what a caller has used."""
        key = {"owner_id": owner_id, "day": day, "purpose": purpose}
        if await self._increase(key, usage):
            return
        try:
            async with self.writing.begin_nested():
                values = {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
                await insert_one(self.writing, LlmUsage, **key, **values)
        except IntegrityError:
            # Another transaction has inserted and committed it first.
            await self._increase(key, usage)

    async def purge(self, before: date) -> int:
        """Delete the rows of earlier days; return how many."""
        statement = delete(LlmUsage).where(LlmUsage.day < before)
        return cast("CursorResult[Any]", await self.writing.execute(statement)).rowcount

    async def _increase(self, key: dict[str, Any], usage: Usage) -> bool:
        statement = (
            update(LlmUsage)
            .where(*(getattr(LlmUsage, name) == value for name, value in key.items()))
            .values(
                input_tokens=LlmUsage.input_tokens + usage.input_tokens,
                output_tokens=LlmUsage.output_tokens + usage.output_tokens,
            )
            .execution_options(synchronize_session=False)
        )
        return bool(cast("CursorResult[Any]", await self.writing.execute(statement)).rowcount)
