"""Selecting the model by provider and name, and the errors for wrong names."""

import pytest
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_ollama import ChatOllama

from keel.llm.model.embedded import EmbeddedModel
from keel.llm.model.providers import make_model
from keel.llm.settings import LlmSettings
from keel.settings import SettingsError


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("embedded", EmbeddedModel),
        ("ollama:llama3.2", ChatOllama),
        ("ollama:library/llama3.2:1b", ChatOllama),
        ("langchain_ollama.ChatOllama:llama3.2", ChatOllama),
    ],
)
def test_models_by_name(name: str, kind: type[BaseChatModel]) -> None:
    """A provider or a class, and the model's name, which may contain colons."""
    made = make_model(LlmSettings(model=name))

    assert type(made) is kind
    assert getattr(made, "model", "") == name.partition(":")[2]


@pytest.mark.parametrize("name", ["embedded", "keel.llm.model.embedded.EmbeddedModel:embedded"])
def test_the_pace_of_the_embedded_model(name: str) -> None:
    """The delay applies however the model is named."""
    made = make_model(LlmSettings(model=name, embedded_seconds=0.5))

    assert isinstance(made, EmbeddedModel)
    assert made.seconds_per_word == 0.5


@pytest.mark.parametrize("where", ["staging", "production"])
def test_embedded_model_is_refused_in_deployments(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing starts until a model is named, and the message says how; a load test names the class."""
    monkeypatch.setenv("ENVIRONMENT", where)
    said = f"LLM_MODEL: name a provider and its model, such as ollama:llama3.2, when ENVIRONMENT={where}"
    with pytest.raises(SettingsError, match=said):
        LlmSettings.load()

    for name in ("ollama:llama3.2", "keel.llm.model.embedded.EmbeddedModel:embedded"):
        monkeypatch.setenv("LLM_MODEL", name)
        assert LlmSettings.load().model == name


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("unknown:model", "langchain-unknown is not installed. Add it with: uv add langchain-unknown"),
        ("langchain_unknown.Chat:model", "langchain-unknown is not installed. Add it with: uv add langchain-unknown"),
        ("langchain_ollama.OllamaLLM:model", "langchain_ollama.OllamaLLM is not a LangChain chat model"),
        ("core:model", "has several chat models"),
    ],
)
def test_missing_model(name: str, said: str) -> None:
    """The message says what to install or write."""
    with pytest.raises(SettingsError, match=said):
        make_model(LlmSettings(model=name))


@pytest.mark.parametrize("name", ["", "llama3.2", "ollama:", ":llama", "ollama: llama"])
def test_invalid_names(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """They prevent startup."""
    monkeypatch.setenv("LLM_MODEL", name)
    with pytest.raises(SettingsError, match="LLM_MODEL"):
        LlmSettings.load()


def test_the_answer_leaves_room_for_the_question(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model's output is at most half of its context."""
    monkeypatch.setenv("LLM_MAX_OUTPUT_TOKENS", "3000")
    with pytest.raises(SettingsError, match="LLM_MAX_OUTPUT_TOKENS"):
        LlmSettings.load()


@pytest.mark.parametrize(
    ("system", "question", "text"),
    [
        ("Be brief.", "Ahoy there", "You said: Ahoy there"),
        ("Be brief.", "Count to 4, please", "1 2 3 4"),
        ("Give it a title in at most 3 words.", "One two three four", "One two three"),
    ],
)
async def test_the_embedded_model(system: str, question: str, text: str) -> None:
    """It is deterministic, and reports tokens; a plain call returns the same as a stream."""
    messages = [SystemMessage(system), HumanMessage(question)]
    chunks = [chunk async for chunk in EmbeddedModel().astream(messages)]
    whole = chunks[0] + chunks[1:]
    at_once = await EmbeddedModel().ainvoke(messages)

    assert whole.text == at_once.text == text
    assert len(chunks) > len(text.split())
    assert whole.usage_metadata == at_once.usage_metadata
