"""What can go wrong with accounts and tokens, as callers are told."""

from http import HTTPStatus

from keel.web.errors import AppError, Forbidden, NotFound


class OAuthError(AppError):
    """A refused request for tokens; the document has the members that OAuth clients look for (RFC 6749, 5.2)."""

    status = HTTPStatus.BAD_REQUEST

    def __init__(self, error: str, detail: str) -> None:
        super().__init__(
            detail,
            headers={"Cache-Control": "no-store"},
            members={"error": error, "error_description": detail},
        )


class WrongCredentials(OAuthError):
    """The address or the password is wrong, the address is not verified, or the account is closed: nobody learns which."""

    type = "urn:problem:wrong-credentials"

    def __init__(self) -> None:
        super().__init__("invalid_grant", "The address or the password is wrong.")


class InvalidRefreshToken(OAuthError):
    """The refresh token is unknown, too old, or was used before; in the last case its whole family has died."""

    type = "urn:problem:invalid-refresh-token"
    # The family stays dead although the request fails.
    commit_on_error = True

    def __init__(self) -> None:
        super().__init__("invalid_grant", "This refresh token is not valid.")


class InvalidScope(OAuthError):
    """Somebody asked for more than they may have."""

    type = "urn:problem:invalid-scope"

    def __init__(self, names: str) -> None:
        super().__init__("invalid_scope", f"These scopes do not exist, or not for you: {names}")


class InvalidMailedToken(AppError):
    """The link was used before, has expired, or was never sent."""

    status = HTTPStatus.BAD_REQUEST
    type = "urn:problem:invalid-mailed-token"


class NotSignedIn(AppError):
    """There is no valid access token."""

    status = HTTPStatus.UNAUTHORIZED
    type = "urn:problem:not-signed-in"

    def __init__(self, detail: str, challenge: str) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": challenge})


class MissingScope(Forbidden):
    """The token does not allow this."""

    type = "urn:problem:missing-scope"

    def __init__(self, scope: str) -> None:
        super().__init__(
            f"This needs the scope {scope}.",
            headers={"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{scope}"'},
        )


class RegistrationClosed(Forbidden):
    """Strangers cannot create accounts here."""

    type = "urn:problem:registration-closed"


class WrongPassword(Forbidden):
    """The current password is wrong."""

    type = "urn:problem:wrong-password"


class UserNotFound(NotFound):
    """There is no such account."""

    type = "urn:problem:user-not-found"


class SessionNotFound(NotFound):
    """There is no such login of yours."""

    type = "urn:problem:session-not-found"


class LastAdmin(AppError):
    """Nobody would be left to administer."""

    status = HTTPStatus.CONFLICT
    type = "urn:problem:last-admin"


class LoginRequired(Forbidden):
    """This takes somebody who is logged in: a personal token is for machines."""

    type = "urn:problem:login-required"

    def __init__(self) -> None:
        super().__init__(
            "Log in for this; a personal token does not allow it.",
            headers={"WWW-Authenticate": 'Bearer error="insufficient_scope"'},
        )


class PersonalTokenNotFound(NotFound):
    """There is no such token of yours."""

    type = "urn:problem:personal-token-not-found"


class TooManyPersonalTokens(AppError):
    """The account has as many tokens as it may have."""

    status = HTTPStatus.CONFLICT
    type = "urn:problem:too-many-personal-tokens"


class TokenLifetimeTooLong(AppError):
    """The token would be valid for longer than is allowed."""

    status = HTTPStatus(422)
    type = "urn:problem:token-lifetime-too-long"
