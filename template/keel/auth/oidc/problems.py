"""Errors of sign-in with OpenID Connect."""

from http import HTTPStatus

from keel.auth.problems import OAuthError
from keel.web.errors import AppError, BadRequest, Forbidden, Unavailable


class ProviderUnavailable(Unavailable):
    """The provider did not answer in time."""

    type = "urn:problem:provider-unavailable"

    def __init__(self) -> None:
        super().__init__("The sign-in provider did not answer; try again.", retry_after=5)


class ProviderFault(AppError):
    """The provider's response is not usable; the log states the reason."""

    status = HTTPStatus.BAD_GATEWAY
    type = "urn:problem:provider-fault"

    def __init__(self) -> None:
        super().__init__("The sign-in provider sent an unusable response.")


class SignInFailed(BadRequest):
    """The provider's response is a refusal, or matches no current attempt of this browser."""

    type = "urn:problem:sign-in-failed"


class EmailNotVerifiedByProvider(Forbidden):
    """The provider sent no address, or has not verified it."""

    type = "urn:problem:email-not-verified-by-provider"


class AccountNotConfirmed(AppError):
    """The address has an account that is not verified yet."""

    status = HTTPStatus.CONFLICT
    type = "urn:problem:account-not-confirmed"


class AccountClosed(Forbidden):
    """The account cannot be used."""

    type = "urn:problem:account-closed"


class InvalidSignInCode(OAuthError):
    """The code is unknown, expired or used, or its verifier is wrong."""

    type = "urn:problem:invalid-sign-in-code"
    # A code is consumed by an attempt with a wrong verifier, too.
    commit_on_error = True

    def __init__(self) -> None:
        super().__init__("invalid_grant", "This code is not valid; sign in again.")
