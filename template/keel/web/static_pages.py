"""The project's own pages: static files that may only call this server."""

from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
"""A page may only load its own scripts and styles, and call this server."""


class _Pages(StaticFiles):
    """Files with a content security policy."""

    def file_response(self, *arguments: Any, **named: Any) -> Response:
        """Return a file that browsers revalidate each time: it changes with each release."""
        response = super().file_response(*arguments, **named)
        response.headers["Content-Security-Policy"] = CSP
        response.headers["Cache-Control"] = "no-cache"
        return response


def mount_pages(app: FastAPI, path: str, folder: Path) -> None:
    """Serve `index.html` of a folder, and the files next to it, below a path such as `/demo`.

    Pages below another page's path, such as `/demo/statistics`, are found in any order of mounting.
    """

    async def open_page(request: Request) -> Response:
        # With the slash, so that the page's relative links to its files work.
        return RedirectResponse(f"{request.scope.get('root_path', '').rstrip('/')}{path}/")

    pages = _Pages(directory=folder, html=True)
    routes = app.router.routes
    above = (isinstance(route, Mount) and path.startswith(f"{route.path}/") for route in routes)
    place = next((place for place, found in enumerate(above) if found), len(routes))
    routes[place:place] = [
        Route(path, open_page, include_in_schema=False),
        Mount(path, pages, name=path.strip("/").replace("/", "-")),
    ]
