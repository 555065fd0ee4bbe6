"""Errors of accounts and tokens."""

from http import HTTPStatus

from keel.web.errors import AppError, Forbidden, NotFound


class OAuthError(AppError):
    """A refused request for tokens; the problem document also has `error` and `error_description` (RFC 6749, 5.2)."""

    status = HTTPStatus.BAD_REQUEST

    def __init__(self, error: str, detail: str) -> None:
        super().__init__(
            detail,
            headers={"Cache-Control": "no-store"},
            members={"error": error, "error_description": detail},
        )


class WrongCredentials(OAuthError):
    """The address or the password is wrong, the address is not verified, or the account is closed."""

    type = "urn:problem:wrong-credentials"

    def __init__(self) -> None:
        super().__init__("invalid_grant", "The address or the password is wrong.")


class IncompleteTokenRequest(OAuthError):
    """The form lacks fields that the grant needs, such as when the request is JSON."""

    type = "urn:problem:incomplete-token-request"

    def __init__(self, missing: list[str]) -> None:
        super().__init__(
            "invalid_request",
            f"Send a form (application/x-www-form-urlencoded, not JSON); these fields are missing: {', '.join(missing)}.",
        )


class InvalidRefreshToken(OAuthError):
    """The refresh token is unknown, expired, or was used before; reuse revokes its login."""

    type = "urn:problem:invalid-refresh-token"
    # The revocation is committed although the request fails.
    commit_on_error = True

    def __init__(self) -> None:
        super().__init__("invalid_grant", "This refresh token is not valid.")


class InvalidScope(OAuthError):
    """A requested scope does not exist or is not granted."""

    type = "urn:problem:invalid-scope"

    def __init__(self, names: str) -> None:
        super().__init__("invalid_scope", f"These scopes do not exist, or are not granted to you: {names}")


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
    """The token lacks a scope."""

    type = "urn:problem:missing-scope"

    def __init__(self, scope: str) -> None:
        super().__init__(
            f"This needs the scope {scope}.",
            headers={"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{scope}"'},
        )


class RegistrationClosed(Forbidden):
    """Registration is disabled."""

    type = "urn:problem:registration-closed"


class WrongPassword(Forbidden):
    """The current password is wrong."""

    type = "urn:problem:wrong-password"


class UserNotFound(NotFound):
    """There is no such account."""

    type = "urn:problem:user-not-found"


class SessionNotFound(NotFound):
    """The caller has no such login."""

    type = "urn:problem:session-not-found"


class LastAdmin(AppError):
    """No active administrator would remain."""

    status = HTTPStatus.CONFLICT
    type = "urn:problem:last-admin"

    def __init__(self) -> None:
        super().__init__("At least one active administrator must remain.")


class LoginRequired(Forbidden):
    """The operation needs a login; personal tokens are not accepted."""

    type = "urn:problem:login-required"

    def __init__(self) -> None:
        super().__init__(
            "Log in to do this; a personal token is not accepted.",
            headers={"WWW-Authenticate": 'Bearer error="insufficient_scope"'},
        )


class PersonalTokenNotFound(NotFound):
    """The caller has no such personal token."""

    type = "urn:problem:personal-token-not-found"


class TooManyPersonalTokens(AppError):
    """The account has the maximum number of personal tokens."""

    status = HTTPStatus.CONFLICT
    type = "urn:problem:too-many-personal-tokens"


class TokenLifetimeTooLong(AppError):
    """The token's lifetime exceeds the maximum."""

    status = HTTPStatus(422)
    type = "urn:problem:token-lifetime-too-long"
