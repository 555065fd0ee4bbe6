"""Answers and tokens of deleted and transferred accounts."""

from keel import clock
from keel.db.database import Database
from keel.llm.account_data import LlmAccountData
from keel.llm.model.turns import Usage
from keel.llm.repository import AnswerRepository, UsageRepository
from keel.testing.scripted_model import Pause
from keel.tests.llm.conftest import ADA, Llm


async def test_transfer_of_ownership(llm: Llm, database: Database) -> None:
    """A day's tokens add up, and an answer in progress counts for its new owner."""
    today = clock.now().date()
    pause = Pause()
    answer_id = await llm.ask(pause)
    await pause.reached.wait()
    async with database.transaction() as session:
        await UsageRepository(session).add_tokens(ADA.subject, today, "answers", Usage(1, 2))
        await UsageRepository(session).add_tokens("heir", today, "answers", Usage(3, 4))
        await LlmAccountData().transfer_ownership(session, ADA.subject, "heir")
    pause.over.set()
    outcome = await llm.outcome(answer_id)

    assert outcome.owner_id == "heir"
    assert await UsageRepository(database.read).total("heir", today) == 10 + outcome.usage.total
    assert await UsageRepository(database.read).total(ADA.subject, today) == 0


async def test_deletion(llm: Llm, database: Database) -> None:
    """Nothing remains, and an answer in progress is not stored."""
    pause = Pause()
    answer_id = await llm.ask("Ships", pause)
    await pause.reached.wait()
    async with database.transaction() as session:
        await LlmAccountData().delete(session, ADA.subject)
    pause.over.set()
    await llm.answers.drain(60)

    assert llm.outcomes.stored == {}
    assert await AnswerRepository(database.read).states([answer_id]) == {}
    assert await UsageRepository(database.read).total(ADA.subject, clock.now().date()) == 0
