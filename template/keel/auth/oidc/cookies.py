"""The cookie that binds an attempt to the browser that began it."""

from fastapi import Request, Response

from keel.about import SLUG
from keel.auth.oidc.attempts import LIFETIME


def cookie_name(*, secure: bool) -> str:
    """Return the cookie's name; with HTTPS its prefix keeps subdomains from setting it.

    It contains the project's name: cookies ignore ports, so on localhost another project's cookie would replace it.
    """
    return f"__Host-{SLUG}-oidc" if secure else f"{SLUG}-oidc"


def keep(response: Response, sealed: str, *, secure: bool) -> None:
    """Set the cookie. `Lax`, since it must be sent with the provider's redirect."""
    response.set_cookie(cookie_name(secure=secure), sealed, LIFETIME, secure=secure, httponly=True, samesite="lax")


def kept(request: Request, *, secure: bool) -> str:
    """Return the encrypted attempt from the cookie."""
    return request.cookies.get(cookie_name(secure=secure), "")


def forgotten(*, secure: bool) -> str:
    """Return the `Set-Cookie` header that deletes the cookie."""
    response = Response()
    response.delete_cookie(cookie_name(secure=secure), secure=secure, httponly=True, samesite="lax")
    return response.headers["Set-Cookie"]
