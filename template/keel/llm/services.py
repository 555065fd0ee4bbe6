"""The services of this package: `services_of(app).llm`."""

from dataclasses import dataclass

from keel.llm.answers.registry import Answers
from keel.llm.model.chat import ChatModel
from keel.llm.settings import LlmSettings
from keel.llm.toolbox import Toolbox
from keel.llm.usage import TokenBudget


@dataclass(frozen=True, slots=True)
class LlmServices:
    """The settings, the model, and the answers of this process."""

    settings: LlmSettings
    model: ChatModel
    tools: Toolbox
    budget: TokenBudget
    answers: Answers
