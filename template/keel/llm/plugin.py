"""Installs the model, the tools of packages, the answers of this process, and retention of usage."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta

from fastapi import APIRouter, FastAPI

from keel import clock
from keel.background.asyncio_tasks import spawn
from keel.db.database import Session
from keel.llm.answers.registry import Answers
from keel.llm.model.chat import ChatModel
from keel.llm.repository import UsageRepository
from keel.llm.services import LlmServices
from keel.llm.settings import LlmSettings
from keel.llm.toolbox import Toolbox
from keel.llm.usage import TokenBudget
from keel.packages import load_each
from keel.services import services_of


def install(app: FastAPI) -> None:
    """Add the services. LangChain is imported with the first call of the model.

    Raises:
        SettingsError: a setting is wrong.
        PackageError: two packages offer a tool of the same name.
    """
    settings, services = LlmSettings.load(), services_of(app)
    model, tools, budget = ChatModel(settings), Toolbox(services), TokenBudget(settings.tokens_per_day)
    for package, module in load_each(services.packages, "tools"):
        tools.add(package.name, module.tools(services))
    answers = Answers(services, model, tools, budget)
    services.llm = LlmServices(settings, model, tools, budget, answers)

    async def purge(session: Session) -> int:
        return await UsageRepository(session).purge(clock.now().date() - timedelta(days=settings.usage_days))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        over = asyncio.Event()
        sweeping = spawn(answers.sweeping(over))
        try:
            yield
        finally:
            over.set()
            await sweeping
            await answers.drain(settings.shutdown_seconds)

    services.retention.register("tokens of callers", purge)
    app.include_router(APIRouter(lifespan=lifespan))
