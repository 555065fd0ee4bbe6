"""Settings of language models."""

from typing import Annotated, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from keel.settings import Settings

EMBEDDED = "embedded"
"""The deterministic model for development and tests, which is refused in other environments."""


class LlmSettings(Settings):
    """The model, its limits, timeouts and retries."""

    model_config = SettingsConfigDict(env_prefix="LLM_")

    model: Annotated[str, Field(pattern=r"^(embedded|[A-Za-z_][\w.]*:\S+)$")] = EMBEDDED
    """`embedded`, or provider and name: `ollama:llama3.2`; `openai:...` needs `uv add langchain-openai`, and so on. If
    a package has several classes, name one instead of the provider: `langchain_aws.ChatBedrockConverse:...`."""

    base_url: Annotated[str, Field(pattern=r"^(https?://\S+)?$")] = ""
    """The URL of the model; if empty, the default of the provider's package."""

    api_key: SecretStr = SecretStr("")
    """The provider's key; if empty, its package reads one from the environment."""

    embedded_seconds: Annotated[float, Field(ge=0)] = 0.02
    """Seconds per word of the embedded model."""

    context_tokens: Annotated[int, Field(ge=512)] = 4096
    """Tokens that the model reads and writes for an answer; older messages are omitted."""

    max_output_tokens: Annotated[int, Field(ge=16)] = 1024
    """The most tokens that the model may write in one call."""

    tool_rounds: Annotated[int, Field(ge=0)] = 4
    """The most rounds of tool calls in one answer."""

    first_token_timeout: Annotated[float, Field(gt=0)] = 60.0
    """Timeout of the first token of a call, in seconds; Ollama may have to load the model first."""

    answer_timeout: Annotated[float, Field(gt=0)] = 300.0
    """Timeout of an answer including tools and retries, in seconds."""

    attempts: Annotated[int, Field(ge=1)] = 3
    """Attempts at a call. It is not repeated once the answer has begun."""

    retry_backoff: Annotated[float, Field(ge=0)] = 0.5
    """Seconds before the second attempt; doubled with each further one, with jitter."""

    breaker_failures: Annotated[int, Field(ge=1)] = 5
    """Consecutive failures after which calls are refused at once."""

    breaker_seconds: Annotated[float, Field(gt=0)] = 30.0
    """Seconds for which calls are refused; then one call tests whether the model is back."""

    answers_per_caller: Annotated[int, Field(ge=1)] = 2
    """Answers that one caller may have under way in one process."""

    concurrent_answers: Annotated[int, Field(ge=1)] = 64
    """Answers that one process produces at a time."""

    queue_size: Annotated[int, Field(ge=0)] = 256
    """Answers that wait for their turn; further ones are refused."""

    tokens_per_day: Annotated[int, Field(ge=0)] = 200_000
    """Tokens, read and written, that a caller may use in a day (UTC); 0 for no limit."""

    lease: Annotated[float, Field(ge=1)] = 15.0
    """Seconds without a heartbeat after which an answer counts as interrupted, since its process was lost."""

    shutdown_seconds: Annotated[float, Field(ge=0)] = 10.0
    """Seconds for answers to end when the process stops."""

    usage_days: Annotated[int, Field(ge=1)] = 400
    """Days that the token usage of callers is kept."""

    @property
    def input_tokens(self) -> int:
        """Tokens that the model may read."""
        return self.context_tokens - self.max_output_tokens

    @model_validator(mode="after")
    def _refuse_the_embedded_model(self) -> Self:
        if self.deployed and self.model == EMBEDDED:
            raise ValueError(
                f"LLM_MODEL: name a provider and its model, such as ollama:llama3.2, when ENVIRONMENT={self.environment.value}; "
                "the embedded model only repeats its input"
            )
        return self

    @model_validator(mode="after")
    def _check_tokens(self) -> Self:
        if self.max_output_tokens * 2 > self.context_tokens:
            raise ValueError("LLM_MAX_OUTPUT_TOKENS: must be at most half of LLM_CONTEXT_TOKENS")
        return self
