"""HTTP for sign-in with OpenID Connect."""

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response, status
from fastapi.responses import RedirectResponse

from keel.auth.dependencies import AuthDep, Throttled
from keel.auth.oidc import cookies
from keel.auth.oidc.dependencies import OidcDep, SignInsDep
from keel.auth.oidc.problems import (
    AccountClosed,
    AccountNotConfirmed,
    EmailNotVerifiedByProvider,
    InvalidSignInCode,
    ProviderFault,
    ProviderUnavailable,
    SignInFailed,
)
from keel.auth.oidc.schemas import Challenge, CodeExchange, ProviderAnswer
from keel.auth.problems import InvalidScope, RegistrationClosed
from keel.auth.sessions.browser import AccessToken, CrossSiteRequest, SameSite, hand_out
from keel.auth.sessions.schemas import Token
from keel.web import errors
from keel.web.errors import AppError

router = APIRouter(prefix="/auth/oidc", tags=["auth"], dependencies=[Throttled])

browser = APIRouter(prefix="/auth/browser", tags=["auth"], dependencies=[SameSite, Throttled])

UserAgent = Annotated[str, Header(include_in_schema=False)]


@router.get(
    "/login",
    status_code=status.HTTP_303_SEE_OTHER,
    response_class=RedirectResponse,
    responses=errors.responses(ProviderFault, ProviderUnavailable),
)
async def begin(code_challenge: Annotated[Challenge, Query()], oidc: OidcDep) -> Response:
    """Redirect a browser to the provider. Keep your verifier: you need it to exchange the code."""
    attempt = oidc.attempts.begin(code_challenge)
    response = _redirect(await oidc.provider.authorization_url(attempt))
    cookies.keep(response, oidc.attempts.seal(attempt), secure=oidc.secure)
    return response


@router.get(
    "/callback",
    status_code=status.HTTP_303_SEE_OTHER,
    response_class=RedirectResponse,
    responses=errors.responses(
        SignInFailed,
        AccountClosed,
        AccountNotConfirmed,
        EmailNotVerifiedByProvider,
        RegistrationClosed,
        ProviderFault,
        ProviderUnavailable,
    ),
)
async def end(
    answer: Annotated[ProviderAnswer, Query()], request: Request, oidc: OidcDep, auth: AuthDep, sign_ins: SignInsDep
) -> Response:
    """Accept the provider's redirect, and redirect to `AUTH_PUBLIC_URL` with a code for `/token`."""
    forgotten = {"Set-Cookie": cookies.forgotten(secure=oidc.secure), "Cache-Control": "no-store"}
    try:
        attempt = oidc.attempts.open(cookies.kept(request, secure=oidc.secure), answer.state)
        if answer.error or not answer.code:
            raise SignInFailed("The provider did not sign you in.")
        person = await oidc.provider.authenticate(answer.code, attempt, answer.iss)
        code = await sign_ins.admit(person, attempt.challenge)
    except AppError as error:
        # The attempt is over, even after an error.
        error.headers = {**error.headers, **forgotten}
        raise
    # In the fragment, so that no server logs the code. The target does not depend on the request: no open redirect.
    response = _redirect(f"{str(auth.settings.public_url).rstrip('/')}/signed-in#code={code}")
    response.headers.update(forgotten)
    return response


@router.post("/token", responses=errors.responses(InvalidSignInCode, InvalidScope))
async def exchange(data: CodeExchange, sign_ins: SignInsDep, response: Response, user_agent: UserAgent = "") -> Token:
    """Exchange the code from the end of a sign-in, with the verifier from its beginning, for tokens."""
    response.headers["Cache-Control"] = "no-store"
    return await sign_ins.redeem(data.code.get_secret_value(), data.code_verifier, data.scope, user_agent=user_agent)


@browser.post("/oidc", responses=errors.responses(InvalidSignInCode, InvalidScope, CrossSiteRequest))
async def exchange_for_cookie(
    data: CodeExchange, sign_ins: SignInsDep, auth: AuthDep, request: Request, response: Response
) -> AccessToken:
    """Exchange the code from the end of a sign-in for an access token, and a refresh token in a cookie."""
    code = data.code.get_secret_value()
    user_agent = request.headers.get("user-agent", "")
    token = await sign_ins.redeem(code, data.code_verifier, data.scope, user_agent=user_agent)
    return hand_out(token, request, response, auth.settings.session_days)


def _redirect(url: str) -> Response:
    return RedirectResponse(url, status.HTTP_303_SEE_OTHER, {"Cache-Control": "no-store"})
