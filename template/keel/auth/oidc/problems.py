"""What can go wrong between us, a browser and an OpenID provider, as callers are told."""

from http import HTTPStatus

from keel.auth.problems import OAuthError
from keel.web.errors import AppError, BadRequest, Forbidden, Unavailable


class ProviderUnavailable(Unavailable):
    """The provider does not answer, or not in time."""

    type = "urn:problem:provider-unavailable"

    def __init__(self) -> None:
        super().__init__("The sign-in provider does not answer at the moment.", retry_after=5)


class ProviderFault(AppError):
    """The provider said something that cannot be believed; the log says what."""

    status = HTTPStatus.BAD_GATEWAY
    type = "urn:problem:provider-fault"

    def __init__(self) -> None:
        super().__init__("The answer of the sign-in provider cannot be used.")


class SignInFailed(BadRequest):
    """This answer of the provider was not asked for by this browser, is too old, was used before, or is a refusal."""

    type = "urn:problem:sign-in-failed"


class EmailNotVerifiedByProvider(Forbidden):
    """The provider names no address, or does not say that it has verified it."""

    type = "urn:problem:email-not-verified-by-provider"


class AccountNotConfirmed(AppError):
    """There is an account of this address already, and nobody has proven yet whose it is."""

    status = HTTPStatus.CONFLICT
    type = "urn:problem:account-not-confirmed"


class AccountClosed(Forbidden):
    """The account cannot be used."""

    type = "urn:problem:account-closed"


class InvalidSignInCode(OAuthError):
    """The code is unknown, too old, or was used before, or comes from somebody who did not start this sign-in."""

    type = "urn:problem:invalid-sign-in-code"
    # Whoever presents a code with a wrong verifier has used it up.
    commit_on_error = True

    def __init__(self) -> None:
        super().__init__("invalid_grant", "This code is not valid; sign in again.")
