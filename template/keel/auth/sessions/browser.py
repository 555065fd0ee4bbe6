"""Browser logins: the refresh token is an HttpOnly cookie.

The cookie is limited to these routes and to pages of this site (`SameSite=Strict`). A request also needs an allowed
origin, and a header that pages of other sites cannot add without a preflight (OWASP Cross-Site Request Forgery
Prevention).
"""

from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Cookie, Depends, Header, Request, Response, status
from pydantic import BaseModel, Field

from keel.about import SLUG
from keel.auth.dependencies import AuthDep, LoginsDep, Queued, Throttled
from keel.auth.problems import InvalidRefreshToken, InvalidScope, WrongCredentials
from keel.auth.sessions.schemas import BrowserLogin, Token
from keel.services import services_of
from keel.web import errors
from keel.web.errors import Forbidden

COOKIE = f"__Secure-{SLUG}-refresh_token"
"""It contains the project's name: cookies ignore ports, so on localhost another project's cookie would replace it."""

PATH = "/api/v1/auth/browser"

RefreshCookie = Annotated[str, Cookie(alias=COOKIE, max_length=200, include_in_schema=False)]


class CrossSiteRequest(Forbidden):
    """The page's origin is not allowed."""

    type = "urn:problem:cross-site-request"


class AccessToken(BaseModel):
    """An access token; the refresh token is in the cookie."""

    access_token: str
    token_type: str = "bearer"  # noqa: S105 - a kind
    expires_in: int = Field(description="Lifetime of the access token in seconds")
    scope: str


async def same_site(
    request: Request,
    x_requested_with: Annotated[str, Header(min_length=1, max_length=100, description="Any value")],  # noqa: ARG001 - it must be there
    origin: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> None:
    """Refuse requests from pages of other origins.

    Raises:
        CrossSiteRequest: the origin is neither this host nor one of `CORS_ORIGINS`.
    """
    if origin is None or origin in services_of(request.app).settings.cors_origins:
        return
    try:
        same = urlsplit(origin).netloc.lower() == request.headers.get("host", "").lower()
    except ValueError:
        same = False
    if not same:
        raise CrossSiteRequest("This page's origin is not allowed; add it to CORS_ORIGINS.")


SameSite: Any = Depends(same_site)

router = APIRouter(
    prefix="/auth/browser",
    tags=["auth"],
    dependencies=[SameSite],
    responses=errors.responses(CrossSiteRequest),
)


@router.post(
    "/login",
    dependencies=[Throttled, Queued],
    responses=errors.responses(WrongCredentials, InvalidScope),
)
async def browser_login(
    data: BrowserLogin, logins: LoginsDep, auth: AuthDep, request: Request, response: Response
) -> AccessToken:
    """Exchange address and password for an access token, and a refresh token in a cookie."""
    password = data.password.get_secret_value()
    user_agent = request.headers.get("user-agent", "")
    token = await logins.log_in(data.email, password, data.scope, user_agent=user_agent)
    return hand_out(token, request, response, auth.settings.session_days)


@router.post("/refresh", responses=errors.responses(InvalidRefreshToken))
async def browser_refresh(
    request: Request, logins: LoginsDep, auth: AuthDep, response: Response, cookie: RefreshCookie = ""
) -> AccessToken:
    """Exchange the cookie for a new one and an access token."""
    token = await logins.refresh(cookie)
    return hand_out(token, request, response, auth.settings.session_days)


@router.post("/logout", status_code=status.HTTP_204_NO_CONTENT)
async def browser_logout(request: Request, logins: LoginsDep, response: Response, cookie: RefreshCookie = "") -> None:
    """End the cookie's login and delete the cookie."""
    await logins.end_by_token(cookie)
    response.delete_cookie(COOKIE, _path(request), secure=True, httponly=True, samesite="strict")


def hand_out(token: Token, request: Request, response: Response, days: float) -> AccessToken:
    """Move the refresh token into the cookie; return the rest."""
    response.headers["Cache-Control"] = "no-store"
    response.set_cookie(
        COOKIE,
        token.refresh_token,
        int(days * 86400),
        path=_path(request),
        secure=True,
        httponly=True,
        samesite="strict",
    )
    return AccessToken(access_token=token.access_token, expires_in=token.expires_in, scope=token.scope)


def _path(request: Request) -> str:
    """Return the path that browsers see, including a proxy's prefix."""
    return request.scope.get("root_path", "").rstrip("/") + PATH
