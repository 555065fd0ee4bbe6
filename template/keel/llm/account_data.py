"""Answers under way and usage of an account that is deleted or merged."""

from sqlalchemy import delete, select, update

from keel.db.database import Session
from keel.llm.model.turns import Usage
from keel.llm.models import LlmAnswer, LlmUsage
from keel.llm.repository import UsageRepository
from keel.services import Services


class LlmAccountData:
    """Answers under way and token usage of a subject."""

    async def delete(self, session: Session, subject: str) -> None:
        """Delete both. An answer under way ends with the next heartbeat, and is not stored."""
        await session.execute(delete(LlmAnswer).where(LlmAnswer.owner_id == subject))
        await session.execute(delete(LlmUsage).where(LlmUsage.owner_id == subject))

    async def transfer_ownership(self, session: Session, old: str, new: str) -> None:
        """Transfer both to another subject; tokens of the same day are added up."""
        await session.execute(update(LlmAnswer).where(LlmAnswer.owner_id == old).values(owner_id=new))
        for row in (await session.scalars(select(LlmUsage).where(LlmUsage.owner_id == old))).all():
            usage = Usage(row.input_tokens, row.output_tokens)
            await UsageRepository(session).add_tokens(new, row.day, row.purpose, usage)
        await session.execute(delete(LlmUsage).where(LlmUsage.owner_id == old))


def account_data(_: Services) -> LlmAccountData:
    """Return the handler, for `keel.auth`."""
    return LlmAccountData()
