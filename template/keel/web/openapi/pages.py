"""The pages `/docs` (Swagger UI) and `/redoc`, served without a CDN and under a strict Content-Security-Policy."""

import hashlib
import re
from base64 import b64encode
from html import escape

from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html, get_swagger_ui_oauth2_redirect_html
from starlette.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

ASSETS = "/docs/assets"
REDIRECT = "/docs/oauth2-redirect"

CSP = (
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; img-src 'self' data:; "
    "object-src 'none'; script-src {scripts}"
)
REDOC = "; style-src 'self' 'unsafe-inline'; worker-src blob:"
"""ReDoc injects styles, and searches in a worker."""

_INLINE = re.compile(rb"<script>(.*?)</script>", re.DOTALL)


def install(app: FastAPI) -> None:
    """Add the pages to an application that has an OpenAPI document."""
    # Only fastapi-offline's files, with FastAPI's pages: its application class supports no policy and no subclasses.
    app.mount(ASSETS, StaticFiles(packages=[("fastapi_offline", "static")]), name="documentation")
    for path, page in (("/docs", swagger_ui), (REDIRECT, oauth2_redirect), ("/redoc", redoc)):
        app.add_route(path, page, include_in_schema=False)


async def swagger_ui(request: Request) -> HTMLResponse:
    """Return Swagger UI."""
    app, root = request.app, _root(request)
    page = get_swagger_ui_html(
        openapi_url=f"{root}{app.openapi_url}",
        title=escape(app.title),
        swagger_js_url=f"{root}{ASSETS}/swagger-ui-bundle.js",
        swagger_css_url=f"{root}{ASSETS}/swagger-ui.css",
        swagger_favicon_url=f"{root}{ASSETS}/favicon.png",
        oauth2_redirect_url=f"{root}{REDIRECT}",
        init_oauth=app.swagger_ui_init_oauth,
        swagger_ui_parameters=app.swagger_ui_parameters,
    )
    return _with_policy(page)


async def oauth2_redirect(_: Request) -> HTMLResponse:
    """Return the page that an authorization server redirects Swagger UI to."""
    return _with_policy(get_swagger_ui_oauth2_redirect_html())


async def redoc(request: Request) -> HTMLResponse:
    """Return ReDoc."""
    app, root = request.app, _root(request)
    page = get_redoc_html(
        openapi_url=f"{root}{app.openapi_url}",
        title=escape(app.title),
        redoc_js_url=f"{root}{ASSETS}/redoc.standalone.js",
        redoc_favicon_url=f"{root}{ASSETS}/favicon.png",
        with_google_fonts=False,
    )
    return _with_policy(page, REDOC)


def _root(request: Request) -> str:
    """Return the path below which a proxy serves the application."""
    return request.scope.get("root_path", "").rstrip("/")


def _with_policy(page: HTMLResponse, more: str = "") -> HTMLResponse:
    """Allow scripts from this server, and the inline scripts of the page by their hashes."""
    digests = [hashlib.sha256(script).digest() for script in _INLINE.findall(bytes(page.body))]
    scripts = " ".join(["'self'", *(f"'sha256-{b64encode(digest).decode()}'" for digest in digests)])
    page.headers["Content-Security-Policy"] = CSP.format(scripts=scripts) + more
    return page
