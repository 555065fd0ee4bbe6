"""Who stores answers, and the jobs of the assistant."""

from fastapi import FastAPI

from app.examples.assistant.answers.handler import KIND, MessageHandler
from app.examples.assistant.answers.jobs import SUMMARISE, TITLE, AssistantJobs
from app.examples.assistant.settings import AssistantSettings
from keel.services import services_of


def install(app: FastAPI) -> None:
    """Register them."""
    services = services_of(app)
    jobs = AssistantJobs(services)
    services.llm.answers.register(KIND, MessageHandler(services, AssistantSettings.load()))
    services.jobs.register(TITLE, jobs.title)
    services.jobs.register(SUMMARISE, jobs.summarise)
