"""The handler that stores answers, the assistant's jobs, and the demo page under `/demo/assistant`."""

from pathlib import Path

from fastapi import FastAPI

from app.examples.assistant.answers.handler import KIND, MessageHandler
from app.examples.assistant.answers.jobs import SUMMARISE, TITLE, AssistantJobs
from app.examples.assistant.settings import AssistantSettings
from keel.services import services_of
from keel.web.static_pages import mount_pages

PATH = "/demo/assistant"


def install(app: FastAPI) -> None:
    """Register handlers, and serve the page, unless `ASSISTANT_DEMO` is off."""
    services, settings = services_of(app), AssistantSettings.load()
    jobs = AssistantJobs(services)
    services.llm.answers.register(KIND, MessageHandler(services, settings))
    services.jobs.register(TITLE, jobs.title)
    services.jobs.register(SUMMARISE, jobs.summarise)
    if settings.demo:
        mount_pages(app, PATH, Path(__file__).parent / "pages")
