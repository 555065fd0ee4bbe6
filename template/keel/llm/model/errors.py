"""What may be wrong with a model, as callers see it; the log says more."""

from http import HTTPStatus

from keel.web.errors import AppError, Unavailable


class ModelUnavailable(Unavailable):
    """The model does not answer at the moment; `Retry-After` says when to try again."""

    type = "urn:problem:model-unavailable"


class ModelFailed(AppError):
    """The model refused, or failed before its answer was whole."""

    status = HTTPStatus.BAD_GATEWAY
    type = "urn:problem:model-failed"


class AnswerTookTooLong(AppError):
    """The answer was not whole within `LLM_ANSWER_TIMEOUT`."""

    status = HTTPStatus.GATEWAY_TIMEOUT
    type = "urn:problem:answer-took-too-long"


TRANSIENT = frozenset({408, 409, 425, 429})
"""Statuses of a provider after which a later try may succeed, besides 5xx."""


def is_transient(error: BaseException) -> bool:
    """Whether a later call may succeed. Providers share no class of errors, but the HTTP status has one name in all."""
    status = getattr(error, "status_code", None)
    if isinstance(status, int) and HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return status in TRANSIENT
    return not isinstance(error, AppError | TypeError | LookupError | ImportError | AttributeError)
