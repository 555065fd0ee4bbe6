"""The demonstration page under `/demo`: static files that may do nothing but call this server."""

from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from app.examples.chat.settings import ChatSettings

PATH = "/demo"
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
"""What the page may do: run its own script and style, and call this server."""


class Pages(StaticFiles):
    """Files with a content security policy."""

    def file_response(self, *arguments: Any, **named: Any) -> Response:
        """Return a file that browsers revalidate each time: it changes with the server."""
        response = super().file_response(*arguments, **named)
        response.headers["Content-Security-Policy"] = CSP
        response.headers["Cache-Control"] = "no-cache"
        return response


def install(app: FastAPI) -> None:
    """Serve the page, unless `CHAT_DEMO` is off. A plugin, since it is not below `/api/v1` as routers are."""
    if not ChatSettings.load().demo:
        return

    async def open_page(request: Request) -> Response:
        # With the slash, so that the page finds its own files beside it.
        return RedirectResponse(f"{request.scope.get('root_path', '').rstrip('/')}{PATH}/")

    app.add_route(PATH, open_page, include_in_schema=False)
    app.mount(PATH, Pages(directory=Path(__file__).parent / "pages", html=True), name="demo")
