"""Answers: generated without a listener, stopped, failed, and never reported as more than they are."""

import asyncio
import json
from uuid import UUID

import pytest

from keel import clock
from keel.db.database import Database
from keel.llm.answers.answer import AnswerState
from keel.llm.answers.keeper import Keeper
from keel.llm.repository import AnswerRepository, UsageRepository
from keel.llm.settings import LlmSettings
from keel.testing.scripted_model import CUT, Pause
from keel.tests.llm.conftest import ADA, Llm


async def used(database: Database) -> int:
    """Return Ada's counted tokens."""
    return await UsageRepository(database.read).total(ADA.subject, clock.now().date())


async def test_complete_answer(llm: Llm, database: Database) -> None:
    """Its text, tokens and finish reason are stored, its tokens counted, and its row is deleted."""
    answer_id = await llm.ask("Ships ", "sail.")
    outcome = await llm.outcome(answer_id)

    assert (outcome.state, outcome.text, outcome.finish_reason) == (AnswerState.COMPLETE, "Ships sail.", "stop")
    assert (outcome.usage.input_tokens, outcome.usage.output_tokens) == (10, 2)
    assert await used(database) == 12
    assert await AnswerRepository(database.read).states([answer_id]) == {}


async def test_a_stream_has_all_text_and_then_the_answer(llm: Llm) -> None:
    """A client that follows from the beginning gets the text in order, then the whole answer."""
    events = await llm.events(await llm.ask("Ships ", "sail."))

    tokens = [json.loads(data) for name, data in events if name == "token"]
    assert "".join(token["text"] for token in tokens) == "Ships sail."
    assert [token["offset"] for token in tokens] == [
        sum(len(t["text"]) for t in tokens[:n]) for n in range(len(tokens))
    ]
    assert events[-1][0] == "message"
    assert json.loads(events[-1][1])["text"] == "Ships sail."


async def test_stream_resumes(llm: Llm) -> None:
    """An event's id is a position: what follows is sent, and nothing twice."""
    pause = Pause()
    answer_id = await llm.ask("Ships ", pause, "sail.")
    await pause.reached.wait()
    following = asyncio.create_task(llm.events(answer_id, "3-0"))
    await asyncio.sleep(0)
    pause.over.set()
    tokens = [json.loads(data) for name, data in await following if name == "token"]

    assert "".join(token["text"] for token in tokens) == "ps sail."
    assert tokens[0]["offset"] == 3


@pytest.mark.parametrize("id_", ["", "x", "99999999999-1", "-1-2", "７-0", "9999-0"])
async def test_unknown_event_ids(llm: Llm, id_: str) -> None:
    """An unknown id starts at the beginning, or waits for what comes after it; the answer is complete."""
    events = await llm.events(await llm.ask("Ships"), id_)

    assert json.loads(events[-1][1])["text"] == "Ships"


async def test_stopped_answer_is_stored(llm: Llm, database: Database) -> None:
    """It is marked as stopped, its tokens are estimated, and its stream ends."""
    pause = Pause()
    answer_id = await llm.ask("Ships ", pause, "sail.")
    await pause.reached.wait()
    async with database.transaction() as session:
        assert await llm.answers.stop(session, answer_id)
    outcome = await llm.outcome(answer_id)

    assert (outcome.state, outcome.text, outcome.finish_reason) == (AnswerState.STOPPED, "Ships ", None)
    assert outcome.usage.output_tokens == 2
    assert await used(database) == outcome.usage.total > 0


async def test_finished_answer_cannot_be_stopped(llm: Llm, database: Database) -> None:
    """A client that is too late gets an error."""
    answer_id = await llm.ask("Ships")
    await llm.outcome(answer_id)
    async with database.transaction() as session:
        assert not await llm.answers.stop(session, answer_id)


@pytest.mark.parametrize("fault", [CUT, ConnectionResetError("peer"), ValueError("nonsense")])
async def test_model_fails_midway(llm: Llm, fault: str | Exception) -> None:
    """The call is not retried, because text was shown; the answer has failed, with its text and a problem document."""
    answer_id = await llm.ask("Ships ", fault)
    events = await llm.events(answer_id)

    assert [name for name, _ in events] == ["token", "error", "message"]
    assert json.loads(events[1][1])["type"] == "urn:problem:model-failed"
    assert (json.loads(events[2][1])["state"], json.loads(events[2][1])["text"]) == ("failed", "Ships ")
    assert len(llm.model.received) == 1


async def test_model_fails_before_any_text(llm: Llm) -> None:
    """The call is retried."""
    answer_id = await llm.ask(ConnectionRefusedError())
    llm.then(CUT)
    llm.then("Ships")
    outcome = await llm.outcome(answer_id)

    assert (outcome.state, outcome.text) == (AnswerState.COMPLETE, "Ships")
    assert len(llm.model.received) == 3


async def test_answer_without_heartbeat_is_interrupted(llm: Llm, database: Database) -> None:
    """Another process stores it as interrupted, once, and counts its tokens."""
    pause = Pause()
    answer_id = await llm.ask("Ships ", pause, "sail.")
    await pause.reached.wait()
    await heartbeat(llm)
    await fall_silent(database, answer_id)
    other = Llm(llm.services, llm.all.settings, llm.outcomes)
    assert await other.answers.sweep() == 1
    stored = llm.outcomes.stored[answer_id]
    counted = await used(database)
    pause.over.set()
    await llm.answers.drain(60)

    assert (stored.state, stored.text) == (AnswerState.INTERRUPTED, "Ships ")
    # The process was not dead, only silent: what it has to say counts no more.
    assert llm.outcomes.stored[answer_id] is stored
    assert await used(database) == counted == stored.usage.total


async def test_heartbeat_ends_an_answer_without_its_row(llm: Llm, database: Database) -> None:
    """It was deleted with its account, or taken over: there is nothing to store."""
    pause = Pause()
    answer_id = await llm.ask(pause)
    await pause.reached.wait()
    async with database.transaction() as session:
        await AnswerRepository(session).release(answer_id)
    await heartbeat(llm)
    await llm.answers.drain(60)

    assert llm.outcomes.stored == {}


async def test_shutdown(llm: Llm) -> None:
    """Answers that do not finish in time are stored as interrupted, and no new answer starts."""
    pause = Pause()
    answer_id = await llm.ask("Ships ", pause)
    await pause.reached.wait()
    await llm.answers.drain(0)

    assert llm.outcomes.stored[answer_id].state is AnswerState.INTERRUPTED
    assert llm.outcomes.stored[answer_id].text == "Ships "


class TestAnAnswerThatTakesTooLong:
    """An answer takes no longer than `LLM_ANSWER_TIMEOUT`."""

    @pytest.fixture
    def llm_settings(self) -> LlmSettings:
        """Return a short time."""
        return LlmSettings(answer_timeout=0.05)

    async def test_it_has_failed(self, llm: Llm) -> None:
        """It is stored with its partial text."""
        outcome = await llm.outcome(await llm.ask("Ships ", Pause()))

        assert outcome.state is AnswerState.FAILED
        assert "Ships ".startswith(outcome.text)
        assert outcome.error is not None
        assert outcome.error["type"] == "urn:problem:answer-took-too-long"


class TestAModelThatDoesNotBegin:
    """The first token comes within `LLM_FIRST_TOKEN_TIMEOUT`."""

    @pytest.fixture
    def llm_settings(self) -> LlmSettings:
        """Return a short time."""
        return LlmSettings(first_token_timeout=0.01, attempts=2, retry_backoff=0)

    async def test_it_counts_as_unavailable(self, llm: Llm) -> None:
        """The call is retried, then the answer fails."""
        answer_id = await llm.ask(Pause())
        llm.then(Pause())
        outcome = await llm.outcome(answer_id)

        assert outcome.error is not None
        assert outcome.error["type"] == "urn:problem:model-unavailable"
        assert len(llm.model.received) == 2


async def heartbeat(llm: Llm) -> None:
    """Run the heartbeat, which the process does every two seconds."""
    keeper = Keeper(llm.services, llm.answers.running)
    await keeper.beat()
    await keeper.close()


async def fall_silent(database: Database, answer_id: UUID) -> None:
    """Set an answer's last heartbeat to long ago."""
    async with database.transaction() as session:
        row = await AnswerRepository(session).get_for_update(id=answer_id)
        assert row is not None
        row.heartbeat_at = clock.now().replace(year=2020)
