"""Limits: concurrent answers, daily tokens, the circuit breaker, the context."""

import pytest

from keel import clock
from keel.db.database import Database
from keel.llm.answers.registry import Answers
from keel.llm.model.breaker import CircuitBreaker
from keel.llm.model.chat import ChatModel
from keel.llm.model.errors import ModelUnavailable
from keel.llm.model.turns import Turn, Usage
from keel.llm.repository import UsageRepository
from keel.llm.settings import LlmSettings
from keel.llm.usage import TokenBudget, TokensUsedUp
from keel.testing.scripted_model import Pause
from keel.testing.support import eventually
from keel.tests.llm.conftest import ADA, Llm
from keel.web.errors import TooManyRequests, Unavailable


class TestPlaces:
    """Two answers per caller, one at a time per process, and a queue of two."""

    @pytest.fixture
    def llm_settings(self) -> LlmSettings:
        """Return few of each."""
        return LlmSettings(answers_per_caller=2, concurrent_answers=1, queue_size=2)

    async def test_limit_per_caller(self, llm: Llm) -> None:
        """A caller's third answer is refused; once one has ended, another may start."""
        pause = Pause()
        first = await llm.ask(pause)
        await llm.ask("Two")
        with pytest.raises(TooManyRequests) as refused:
            await llm.answers.admit(ADA.subject)
        assert refused.value.headers["Retry-After"] == "2"
        pause.over.set()
        await llm.outcome(first)
        await eventually(lambda: len(llm.answers.running) == 0)
        with await llm.answers.admit(ADA.subject), await llm.answers.admit(ADA.subject):
            pass

    async def test_limit_per_process(self, llm: Llm) -> None:
        """Answers are queued, and beyond that refused."""
        pause = Pause()
        first = await llm.ask(pause)
        with await llm.answers.admit("eve"), await llm.answers.admit("bob"), pytest.raises(Unavailable):
            await llm.answers.admit("joe")
        pause.over.set()
        await llm.outcome(first)

    async def test_answers_are_queued(self, llm: Llm) -> None:
        """The model is called one answer at a time."""
        pause = Pause()
        await llm.ask(pause)
        second = await llm.ask("Two")
        await pause.reached.wait()
        assert len(llm.model.received) == 1
        pause.over.set()
        assert (await llm.outcome(second)).text == "Two"

    async def test_slot_is_released(self, llm: Llm) -> None:
        """A request that fails before its answer starts occupies no slot."""
        for _ in range(5):
            with pytest.raises(KeyError), await llm.answers.admit(ADA.subject):
                raise KeyError


async def test_daily_tokens(database: Database) -> None:
    """The remaining tokens are reported; once they are used up, callers are refused until tomorrow."""
    budget = TokenBudget(100)
    async with database.transaction() as session:
        await budget.spend(session, "ada", Usage(60, 20))
        await budget.spend(session, "ada", Usage(5, 5), "title")
        allowance = await budget.check(session, "ada")
        assert allowance.left == 10
        assert allowance.headers["RateLimit"].startswith('"llm-tokens";r=10;t=')
        await budget.spend(session, "ada", Usage(0, 20))
        with pytest.raises(TokensUsedUp) as refused:
            await budget.check(session, "ada")
        assert (await budget.check(session, "eve")).left == 100

    assert 0 < int(refused.value.headers["Retry-After"]) <= 86_400
    assert refused.value.headers["RateLimit"].startswith('"llm-tokens";r=0;')


async def test_no_limit_on_tokens(database: Database) -> None:
    """Without a limit, nothing is enforced or reported."""
    assert (await TokenBudget(0).check(database.read, "ada")).headers == {}


async def test_usage_is_purged(database: Database) -> None:
    """Old days are deleted."""
    today = clock.now().date()
    async with database.transaction() as session:
        usage = UsageRepository(session)
        await usage.add_tokens("ada", today.replace(year=2020, day=1), "answers", Usage(1, 1))
        await usage.add_tokens("ada", today, "answers", Usage(1, 1))
        assert await usage.purge(today) == 1
        assert await usage.total("ada", today) == 2


class TestBreaker:
    """A model that is down."""

    @pytest.fixture
    def llm_settings(self) -> LlmSettings:
        """Return one attempt, and two failures."""
        return LlmSettings(attempts=1, breaker_failures=2, breaker_seconds=1000)

    async def test_callers_are_refused_at_once(self, llm: Llm) -> None:
        """After consecutive failures callers get 503 with `Retry-After`, before anything is stored."""
        for _ in range(2):
            await llm.outcome(await llm.ask(ConnectionRefusedError()))
        with pytest.raises(ModelUnavailable) as refused:
            await llm.answers.admit(ADA.subject)

        assert 990 < int(refused.value.headers["Retry-After"]) <= 1000


def test_one_call_tests_the_model() -> None:
    """Other calls wait for its outcome."""
    breaker = CircuitBreaker(1, 1000)
    breaker.failed()
    with pytest.raises(ModelUnavailable):
        breaker.enter()
    breaker._open_until = 0.0
    breaker.enter()
    with pytest.raises(ModelUnavailable):
        breaker.enter()
    breaker.succeeded()
    breaker.enter()
    breaker.enter()


async def test_model_package_is_missing(llm: Llm) -> None:
    """The caller is told before anything is stored, and occupies no slot; the log says what to add."""
    chat = ChatModel(LlmSettings(model="unknown:model"))
    answers = Answers(llm.services, chat, llm.tools, llm.all.budget)
    for _ in range(llm.all.settings.answers_per_caller + 1):
        with pytest.raises(ModelUnavailable):
            await answers.admit(ADA.subject)


async def test_context_is_limited(llm: Llm) -> None:
    """The model gets the instructions and the newest turns, starting with a question."""
    turns = [Turn("system", "Be brief.")]
    for number in range(200):
        turns += [Turn("user", f"Question {number} {'x' * 400}"), Turn("assistant", f"Answer {number} {'x' * 400}")]
    turns.append(Turn("user", "And now?"))
    llm.then("Now.")
    await llm.all.model.complete(turns)
    (received,) = llm.model.received

    assert (received[0].content, received[-1].content) == ("Be brief.", "And now?")
    assert received[1].type == "human"
    assert 10 < len(received) < 40


async def test_oversized_question_is_sent(llm: Llm) -> None:
    """A question beyond the context is sent anyway; refusing it is up to the caller."""
    llm.then("Long.")
    await llm.all.model.complete([Turn("system", "Be brief."), Turn("user", "y" * 100_000)])

    assert [message.type for message in llm.model.received[0]] == ["system", "human"]
