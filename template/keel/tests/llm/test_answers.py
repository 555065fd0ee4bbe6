"""Answers: produced without a listener, too, stopped, failed, and never more than they are."""

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
    """Return the tokens that are counted for Ada."""
    return await UsageRepository(database.read).total(ADA.subject, clock.now().date())


async def test_an_answer_is_whole(llm: Llm, database: Database) -> None:
    """Its text, tokens and reason are stored, its tokens counted, and its row is gone."""
    answer_id = await llm.ask("Ships ", "sail.")
    outcome = await llm.outcome(answer_id)

    assert (outcome.state, outcome.text, outcome.finish_reason) == (AnswerState.COMPLETE, "Ships sail.", "stop")
    assert (outcome.usage.input_tokens, outcome.usage.output_tokens) == (10, 2)
    assert await used(database) == 12
    assert await AnswerRepository(database.read).states([answer_id]) == {}


async def test_a_stream_has_all_text_and_then_the_answer(llm: Llm) -> None:
    """A client that follows from the beginning gets the text in order, and at last the whole."""
    events = await llm.events(await llm.ask("Ships ", "sail."))

    tokens = [json.loads(data) for name, data in events if name == "token"]
    assert "".join(token["text"] for token in tokens) == "Ships sail."
    assert [token["offset"] for token in tokens] == [
        sum(len(t["text"]) for t in tokens[:n]) for n in range(len(tokens))
    ]
    assert events[-1][0] == "message"
    assert json.loads(events[-1][1])["text"] == "Ships sail."


async def test_a_stream_resumes_where_it_was(llm: Llm) -> None:
    """The id of an event says how much there was: what follows is sent, and nothing twice."""
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
async def test_ids_of_others_are_no_error(llm: Llm, id_: str) -> None:
    """An id that is none of ours starts at the beginning, or waits for what comes after it; the answer is whole."""
    events = await llm.events(await llm.ask("Ships"), id_)

    assert json.loads(events[-1][1])["text"] == "Ships"


async def test_a_stopped_answer_has_what_there_is(llm: Llm, database: Database) -> None:
    """It is marked, its tokens are estimated, and its stream ends."""
    pause = Pause()
    answer_id = await llm.ask("Ships ", pause, "sail.")
    await pause.reached.wait()
    async with database.transaction() as session:
        assert await llm.answers.stop(session, answer_id)
    outcome = await llm.outcome(answer_id)

    assert (outcome.state, outcome.text, outcome.finish_reason) == (AnswerState.STOPPED, "Ships ", None)
    assert outcome.usage.output_tokens == 2
    assert await used(database) == outcome.usage.total > 0


async def test_an_answer_that_has_ended_is_not_stopped(llm: Llm, database: Database) -> None:
    """A client that comes too late is told."""
    answer_id = await llm.ask("Ships")
    await llm.outcome(answer_id)
    async with database.transaction() as session:
        assert not await llm.answers.stop(session, answer_id)


@pytest.mark.parametrize("fault", [CUT, ConnectionResetError("peer"), ValueError("nonsense")])
async def test_a_model_that_fails_half_way(llm: Llm, fault: str | Exception) -> None:
    """The call is not repeated, since text was shown; the answer has failed, with what there is, and a problem document."""
    answer_id = await llm.ask("Ships ", fault)
    events = await llm.events(answer_id)

    assert [name for name, _ in events] == ["token", "error", "message"]
    assert json.loads(events[1][1])["type"] == "urn:problem:model-failed"
    assert (json.loads(events[2][1])["state"], json.loads(events[2][1])["text"]) == ("failed", "Ships ")
    assert len(llm.model.received) == 1


async def test_a_model_that_fails_at_first(llm: Llm) -> None:
    """Before any text, the call is tried again."""
    answer_id = await llm.ask(ConnectionRefusedError())
    llm.then(CUT)
    llm.then("Ships")
    outcome = await llm.outcome(answer_id)

    assert (outcome.state, outcome.text) == (AnswerState.COMPLETE, "Ships")
    assert len(llm.model.received) == 3


async def test_a_silent_process_is_interrupted(llm: Llm, database: Database) -> None:
    """An answer without a heartbeat is stored by another process as interrupted, once, and its tokens are counted."""
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


async def test_a_heartbeat_ends_an_answer_whose_row_is_gone(llm: Llm, database: Database) -> None:
    """It was deleted with its account, or given up: there is no one to store it."""
    pause = Pause()
    answer_id = await llm.ask(pause)
    await pause.reached.wait()
    async with database.transaction() as session:
        await AnswerRepository(session).release(answer_id)
    await heartbeat(llm)
    await llm.answers.drain(60)

    assert llm.outcomes.stored == {}


async def test_a_process_that_stops(llm: Llm) -> None:
    """What is not whole in time is interrupted, with what there is, and no answer begins."""
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
        """It is stored with what there is."""
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
        """The call is tried again, then the answer has failed."""
        answer_id = await llm.ask(Pause())
        llm.then(Pause())
        outcome = await llm.outcome(answer_id)

        assert outcome.error is not None
        assert outcome.error["type"] == "urn:problem:model-unavailable"
        assert len(llm.model.received) == 2


async def heartbeat(llm: Llm) -> None:
    """Do what the process does every two seconds."""
    keeper = Keeper(llm.services, llm.answers.running)
    await keeper.beat()
    await keeper.close()


async def fall_silent(database: Database, answer_id: UUID) -> None:
    """Make the last heartbeat of an answer long ago."""
    async with database.transaction() as session:
        row = await AnswerRepository(session).get_for_update(id=answer_id)
        assert row is not None
        row.heartbeat_at = clock.now().replace(year=2020)
