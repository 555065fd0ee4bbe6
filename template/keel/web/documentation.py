"""The documentation pages, Swagger UI and ReDoc, served whole from here: they need no other server and no internet."""

import hashlib
import re
from base64 import b64encode
from html import escape

from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html, get_swagger_ui_oauth2_redirect_html
from starlette.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

ASSETS = "/docs/assets"

CSP = (
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; img-src 'self' data:; "
    "object-src 'none'; script-src {scripts}"
)
"""What a page may do: run our scripts and no others, and ask nobody else for anything."""

REDOC = "; style-src 'self' 'unsafe-inline'; worker-src blob:"
"""ReDoc writes its styles into the page, and searches in a worker."""

_INLINE = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def install(app: FastAPI) -> None:
    """Add the pages of an application that has an OpenAPI document."""
    # Only its files are used, as they come from the projects; `find_spec` does not import it.
    app.mount(ASSETS, StaticFiles(packages=[("fastapi_offline", "static")]), name="documentation")
    app.add_route("/docs", swagger_ui, include_in_schema=False)
    app.add_route("/docs/oauth2-redirect", oauth2_redirect, include_in_schema=False)
    app.add_route("/redoc", redoc, include_in_schema=False)


async def swagger_ui(request: Request) -> HTMLResponse:
    """Show every operation and let people try it."""
    root, app = request.scope.get("root_path", "").rstrip("/"), request.app
    return _strict(
        get_swagger_ui_html(
            openapi_url=f"{root}{app.openapi_url}",
            title=escape(app.title),
            swagger_js_url=f"{root}{ASSETS}/swagger-ui-bundle.js",
            swagger_css_url=f"{root}{ASSETS}/swagger-ui.css",
            swagger_favicon_url=f"{root}{ASSETS}/favicon.png",
            oauth2_redirect_url=f"{root}/docs/oauth2-redirect",
            init_oauth=app.swagger_ui_init_oauth,
            swagger_ui_parameters=app.swagger_ui_parameters,
        )
    )


async def oauth2_redirect(_: Request) -> HTMLResponse:
    """Take what an authorization server sends back to Swagger UI."""
    return _strict(get_swagger_ui_oauth2_redirect_html())


async def redoc(request: Request) -> HTMLResponse:
    """Show every operation, to be read."""
    root, app = request.scope.get("root_path", "").rstrip("/"), request.app
    return _strict(
        get_redoc_html(
            openapi_url=f"{root}{app.openapi_url}",
            title=escape(app.title),
            redoc_js_url=f"{root}{ASSETS}/redoc.standalone.js",
            redoc_favicon_url=f"{root}{ASSETS}/favicon.png",
            with_google_fonts=False,
        ),
        REDOC,
    )


def _strict(page: HTMLResponse, more: str = "") -> HTMLResponse:
    """Let a page run files of ours and the scripts within it, which are named by their hashes."""
    inline = _INLINE.findall(bytes(page.body).decode())
    hashes = [f"'sha256-{b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in inline]
    page.headers["Content-Security-Policy"] = CSP.format(scripts=" ".join(["'self'", *hashes])) + more
    return page
