"""Selection of the model: the embedded one, or one of a provider's LangChain package."""

from importlib import import_module
from types import ModuleType
from typing import Any

from langchain_core.language_models.chat_models import BaseChatModel

from keel.llm.settings import EMBEDDED, LlmSettings
from keel.settings import SettingsError


def make_model(settings: LlmSettings) -> BaseChatModel:
    """Return the model that the settings select. Importing a provider's package may take seconds.

    Raises:
        SettingsError: the provider's package is not installed, or has no such class; the message says what to do.
    """
    provider, _, name = settings.model.partition(":")
    if provider == EMBEDDED:
        provider = "keel.llm.model.embedded.EmbeddedModel"
    kind = _named(provider) if "." in provider else _only(provider)
    return kind(**_accepted(kind, settings, name))


def _named(path: str) -> type[BaseChatModel]:
    module, _, name = path.rpartition(".")
    kind = getattr(_import(module), name, None)
    if isinstance(kind, type) and issubclass(kind, BaseChatModel):
        return kind
    raise SettingsError(f"LLM_MODEL: {path} is not a LangChain chat model.")


def _only(provider: str) -> type[BaseChatModel]:
    """Return a provider package's only chat model, or of several the one named like the provider."""
    module = _import(f"langchain_{provider}")
    found = {
        name: kind
        for name, kind in vars(module).items()
        if name.startswith("Chat") and isinstance(kind, type) and issubclass(kind, BaseChatModel)
    }
    usual = [kind for name, kind in found.items() if name.lower() == f"chat{provider.replace('_', '')}"]
    if len(usual or found) != 1:
        names = " or ".join(f"langchain_{provider}.{name}:..." for name in sorted(found))
        raise SettingsError(f"LLM_MODEL: langchain_{provider} has several chat models; write {names or 'another one'}.")
    return (usual or list(found.values()))[0]


def _import(module: str) -> ModuleType:
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
            raise
        package = error.name.replace("_", "-")
        raise SettingsError(f"LLM_MODEL: {package} is not installed. Add it with: uv add {package}") from None


def _accepted(kind: type[BaseChatModel], settings: LlmSettings, name: str) -> dict[str, Any]:
    """Return the settings that a class accepts: providers name them differently, or lack them."""
    key = settings.api_key.get_secret_value()
    wanted = {
        "model": name,
        "base_url": settings.base_url or None,
        "api_key": settings.api_key if key else None,
        "timeout": settings.answer_timeout,
        "max_retries": 0,  # we repeat calls ourselves, and only before the answer begins
        "stream_usage": True,
        "max_tokens": settings.max_output_tokens,
        "seconds_per_word": settings.embedded_seconds,
        # Ollama's names.
        "num_predict": settings.max_output_tokens,
        "num_ctx": settings.context_tokens,
        "client_kwargs": {
            "timeout": settings.answer_timeout,
            "headers": {"authorization": f"Bearer {key}"} if key else {},
        },
    }
    known = {alias for field, info in kind.model_fields.items() for alias in (field, info.alias) if alias}
    return {field: value for field, value in wanted.items() if field in known and value is not None}
