"""Who stores answers, the jobs of the assistant, and the demonstration page under `/demo/assistant`."""

from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from app.examples.assistant.answers.handler import KIND, MessageHandler
from app.examples.assistant.answers.jobs import SUMMARISE, TITLE, AssistantJobs
from app.examples.assistant.settings import AssistantSettings
from keel.services import services_of

PATH = "/demo/assistant"
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
"""What the page may do: run its own script and style, and call this server. What a model says can load nothing."""


class Pages(StaticFiles):
    """Files with a content security policy."""

    def file_response(self, *arguments: Any, **named: Any) -> Response:
        """Return a file that browsers revalidate each time: it changes with the server."""
        response = super().file_response(*arguments, **named)
        response.headers["Content-Security-Policy"] = CSP
        response.headers["Cache-Control"] = "no-cache"
        return response


def install(app: FastAPI) -> None:
    """Register handlers, and serve the page, unless `ASSISTANT_DEMO` is off."""
    services, settings = services_of(app), AssistantSettings.load()
    jobs = AssistantJobs(services)
    services.llm.answers.register(KIND, MessageHandler(services, settings))
    services.jobs.register(TITLE, jobs.title)
    services.jobs.register(SUMMARISE, jobs.summarise)
    if settings.demo:
        _serve_page(app)


def _serve_page(app: FastAPI) -> None:
    async def open_page(request: Request) -> Response:
        # With the slash, so that the page finds its own files beside it.
        return RedirectResponse(f"{request.scope.get('root_path', '').rstrip('/')}{PATH}/")

    app.add_route(PATH, open_page, include_in_schema=False)
    app.mount(PATH, Pages(directory=Path(__file__).parent / "pages", html=True), name="demo-assistant")
