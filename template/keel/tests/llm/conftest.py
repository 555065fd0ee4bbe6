"""Answers of a scripted model, and a handler that records them."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from uuid import UUID

import pytest
from fastapi import FastAPI
from pydantic_core import to_json
from uuid_utils.compat import uuid7

from keel.caller import Caller
from keel.db.database import ReadSession, Session
from keel.llm.answers.answer import Assignment, Outcome
from keel.llm.answers.following import follow
from keel.llm.answers.handlers import StoredAnswer
from keel.llm.answers.registry import Answers
from keel.llm.model.chat import ChatModel
from keel.llm.model.turns import Turn
from keel.llm.services import LlmServices
from keel.llm.settings import LlmSettings
from keel.llm.toolbox import Tool, Toolbox
from keel.llm.usage import TokenBudget
from keel.services import Services, services_of
from keel.testing.scripted_model import Item, ScriptedModel

KIND = "test"
ADA = Caller("ada", frozenset({"widgets:read"}))


@dataclass
class Outcomes:
    """Records outcomes, once committed."""

    stored: dict[UUID, Outcome] = field(default_factory=dict)

    async def finish(self, session: Session, outcome: Outcome) -> None:
        """Keep an outcome."""

        async def keep() -> None:
            assert outcome.id not in self.stored
            self.stored[outcome.id] = outcome

        session.after_commit(keep)

    async def read(self, session: ReadSession, answer_id: UUID) -> StoredAnswer | None:  # noqa: ARG002 - as it is called
        """Return an outcome."""
        outcome = self.stored.get(answer_id)
        if outcome is None:
            return None
        document = {"state": outcome.state, "text": outcome.text, "tools": outcome.tools}
        error = to_json(outcome.error).decode() if outcome.error else None
        return StoredAnswer(to_json(document).decode(), outcome.text, error)


class Llm:
    """Answers of one process."""

    def __init__(self, services: Services, settings: LlmSettings, outcomes: Outcomes) -> None:
        self.services = services
        self.outcomes = outcomes
        self.model = ScriptedModel(scripts=[], received=[], offered=[])
        chat = ChatModel(settings, lambda _: self.model)
        self.tools = Toolbox(services)
        budget = TokenBudget(settings.tokens_per_day)
        self.answers = Answers(services, chat, self.tools, budget)
        self.answers.register(KIND, outcomes)
        self.all = LlmServices(settings, chat, self.tools, budget, self.answers)

    async def ask(self, *script: Item, caller: Caller = ADA, question: str = "What?") -> UUID:
        """Start an answer whose first reply is a script."""
        self.model.scripts.append([*script])
        assignment = Assignment(uuid7(), KIND, caller, [Turn("system", "Be brief."), Turn("user", question)])
        with await self.answers.admit(caller.subject) as admission:
            async with self.services.database.transaction() as session:
                await self.answers.assign(session, assignment, admission)
        return assignment.id

    def then(self, *script: Item) -> None:
        """Add another reply."""
        self.model.scripts.append([*script])

    def add_tool(self, tool: Tool) -> None:
        """Offer a tool."""
        self.tools.add("test", [tool])

    async def events(
        self, answer_id: UUID, after: str | None = None, into: list[tuple[str, str]] | None = None
    ) -> list[tuple[str, str]]:
        """Return an answer's events to its end, as names and data; they are appended to `into` as they arrive."""
        found = [] if into is None else into

        async def never() -> None:
            await self.services.shutdown.wait()

        stream = follow(self.services, self.outcomes, answer_id, after, never)
        async for event in stream:
            found.append((event.event or "", event.raw_data or ""))
        return found

    async def outcome(self, answer_id: UUID) -> Outcome:
        """Return how an answer ended, once it has."""
        await self.events(answer_id)
        return self.outcomes.stored[answer_id]


@pytest.fixture
def llm_settings() -> LlmSettings:
    """Return the settings; a test that needs others has a fixture of this name."""
    return LlmSettings.load()


@pytest.fixture
async def llm(app: FastAPI, llm_settings: LlmSettings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Llm]:
    """Return answers of a scripted model, in place of the application's."""
    services = services_of(app)
    made = Llm(services, llm_settings, Outcomes())
    monkeypatch.setattr(services, "llm", made.all)
    yield made
    await made.answers.drain(0)
