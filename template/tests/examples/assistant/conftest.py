"""A model with scripted answers."""

from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI

from keel.llm.model.chat import ChatModel
from keel.services import services_of
from keel.testing.scripted_model import ScriptedModel
from keel.testing.server import Server
from keel.testing.support import eventually


@pytest.fixture
async def scripted(app: FastAPI, server: Server, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ScriptedModel]:
    """Have all answers, of the server and of the application, be what a test says."""
    model = ScriptedModel(scripts=[], received=[], offered=[])

    async def load(_: ChatModel) -> ScriptedModel:
        return model

    monkeypatch.setattr(ChatModel, "load", load)
    yield model
    for each in (app, server.app):
        llm = services_of(each).llm
        await eventually(lambda: not llm.answers.running)  # noqa: B023 - awaited here
        llm.model.breaker.succeeded()
