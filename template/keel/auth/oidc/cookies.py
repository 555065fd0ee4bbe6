"""The cookie that binds an attempt to the browser that began it."""

from fastapi import Request, Response

from keel.auth.oidc.attempts import LIFETIME


def cookie_name(*, secure: bool) -> str:
    """Return a name under which, by https, no subdomain and no other path can plant a cookie of its own."""
    return "__Host-oidc" if secure else "oidc"


def keep(response: Response, sealed: str, *, secure: bool) -> None:
    """Give the browser an attempt. `Lax`: the provider's redirect back must bring it along."""
    response.set_cookie(cookie_name(secure=secure), sealed, LIFETIME, secure=secure, httponly=True, samesite="lax")


def kept(request: Request, *, secure: bool) -> str:
    """Return the attempt that the browser brings along."""
    return request.cookies.get(cookie_name(secure=secure), "")


def forgotten(*, secure: bool) -> str:
    """Return the header that makes the browser forget an attempt."""
    response = Response()
    response.delete_cookie(cookie_name(secure=secure), secure=secure, httponly=True, samesite="lax")
    return response.headers["Set-Cookie"]
