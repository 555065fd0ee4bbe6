"""Errors of models, as callers see them; the log has details."""

from http import HTTPStatus

from keel.web.errors import AppError, Unavailable


class ModelUnavailable(Unavailable):
    """The model is not available; `Retry-After` says when to try again."""

    type = "urn:problem:model-unavailable"


class ModelFailed(AppError):
    """The model refused, or failed before its answer was complete."""

    status = HTTPStatus.BAD_GATEWAY
    type = "urn:problem:model-failed"


class AnswerTookTooLong(AppError):
    """The answer was not complete within `LLM_ANSWER_TIMEOUT`."""

    status = HTTPStatus.GATEWAY_TIMEOUT
    type = "urn:problem:answer-took-too-long"


TRANSIENT = frozenset({408, 409, 425, 429})
"""Statuses of a provider, in addition to 5xx, after which a retry may succeed."""


def is_transient(error: BaseException) -> bool:
    """Whether a later call may succeed. Providers share no error class, but all name the HTTP status the same."""
    status = getattr(error, "status_code", None)
    if isinstance(status, int) and HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return status in TRANSIENT
    return not isinstance(error, AppError | TypeError | LookupError | ImportError | AttributeError)
