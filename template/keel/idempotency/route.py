"""Routes whose POSTs take an `Idempotency-Key`."""

import re
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from functools import wraps
from hashlib import sha256
from http import HTTPStatus
from inspect import iscoroutinefunction
from typing import Any

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from keel import clock
from keel.caller import GUEST
from keel.db.database import Session
from keel.dependencies import SESSION, get_session
from keel.idempotency.models import StoredAnswer
from keel.identity import verification_of
from keel.services import services_of
from keel.web.errors import AppError, BadRequest, responses
from keel.web.rate_limit import client_address

KEY = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
MAX_KEY = 255
MAX_BODY = 65_536
"""The largest response that can be stored, in bytes."""

PER_CALLER = "10000/day"
_VALID = r'^([!#-~]([ -~]*[!-~])?|"[ -~]+")$'
"""A string in a structured field is quoted (RFC 9651); most clients omit the quotes."""

_NOT_KEPT = {"content-length", "date"}
_PARAMETER = {
    "name": KEY,
    "in": "header",
    "required": False,
    "description": "Unique for each request; a repetition with the same key gets the first response, for 24 hours.",
    "schema": {"type": "string", "minLength": 1, "maxLength": MAX_KEY, "pattern": _VALID},
}

Handler = Callable[[Request], Coroutine[Any, Any, Response]]
"""The handler that `APIRoute` calls with a request."""


class KeyNotValid(BadRequest):
    """The key is empty, too long or not visible ASCII, or comes with a body that can't be compared."""

    type = "urn:problem:idempotency-key-not-valid"


class KeyReused(AppError):
    """The key was used for another request."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    type = "urn:problem:idempotency-key-reused"


class _Replay(Exception):
    """The response is already stored."""

    def __init__(self, response: Response) -> None:
        self.response = response


class _Claim:
    """The row for the response to a request, in the request's own transaction."""

    def __init__(self, request: Request, key: str) -> None:
        if len(key) > MAX_KEY or not re.fullmatch(_VALID, key):
            raise KeyNotValid(
                f"{KEY} must have 1 to {MAX_KEY} visible ASCII characters, all or none of them in quotes."
            )
        self._key = key[1:-1] if key[0] == '"' else key
        self._request = request
        self._session: Session | None = None
        self._row: tuple[Any, ...] = ()

    async def take(self) -> None:
        """Insert the row, after all dependencies of the operation have admitted the caller.

        If a concurrent request has inserted it, wait until that one is done.

        Raises:
            KeyReused: the key was used for another request.
            TooManyRequests: the caller has used too many keys.
            _Replay: this request has been answered before.
        """
        session: Session = self._request.scope[SESSION]
        caller = verification_of(self._request).verified.caller
        # Guests can only be distinguished by their address.
        whose = (client_address(self._request.scope),) if caller == GUEST else sorted(caller.scopes)
        digests = {"key_digest": _digest(self._key, *whose), "request_digest": await self._request_digest()}
        limits = services_of(self._request.app).rate_limit
        await limits.spend(PER_CALLER, "idempotency", _digest(caller.subject, *whose))
        self._row = (StoredAnswer.subject == caller.subject, StoredAnswer.key_digest == digests["key_digest"])
        empty = {"status": 0, "headers": [], "body": b"", "created_at": clock.now()}
        try:
            async with session.begin_nested():
                await session.execute(insert(StoredAnswer), {"subject": caller.subject, **digests, **empty})
        except IntegrityError:
            stored = (await session.scalars(select(StoredAnswer).where(*self._row))).one()
            if stored.request_digest != digests["request_digest"]:
                raise KeyReused("This key was used for another request; send a new one.") from None
            response = Response(stored.body, stored.status)
            for name, value in (*stored.headers, (REPLAYED, "true")):
                response.headers.append(name, value)
            raise _Replay(response) from None
        self._session = session

    async def keep(self, response: Response) -> None:
        """Store the response.

        Raises:
            RuntimeError: it is a stream or too large to store, so the request's changes must not be stored either.
        """
        if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            await self.release()
            return
        body = getattr(response, "body", None)
        if not isinstance(body, bytes) or len(body) > MAX_BODY:
            raise RuntimeError(f"The response can't be stored for its {KEY}: it is a stream, or over {MAX_BODY} bytes.")
        headers = [[name, value] for name, value in response.headers.items() if name not in _NOT_KEPT]
        values = {"status": response.status_code, "headers": headers, "body": body}
        if self._session is not None:
            await self._session.execute(update(StoredAnswer).where(*self._row).values(values))

    async def release(self) -> None:
        """Delete the row, if it was taken, so that a repeated request is tried again."""
        if self._session is not None:
            await self._session.execute(delete(StoredAnswer).where(*self._row))

    async def _request_digest(self) -> str:
        url, content_type = self._request.url, self._request.headers.get("content-type", "")
        try:
            body = await self._request.body()
        except RuntimeError:
            raise KeyNotValid(f"{KEY} is not accepted with forms and streamed bodies.") from None
        return _digest(self._request.method, url.path, url.query, content_type, body.hex())


def _digest(*parts: str) -> str:
    return sha256("\0".join(parts).encode()).hexdigest()


_claim: ContextVar[_Claim | None] = ContextVar("claim", default=None)


class IdempotentRoute(APIRoute):
    """A route that may be repeated: `APIRouter(..., route_class=IdempotentRoute)`.

    POSTs accept keys, with any body but forms and streams. All effects must be in `SessionDep`, or after its commit.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        """Add the route.

        Raises:
            TypeError: the endpoint of a POST is not a coroutine function that uses a session.
        """
        self._takes_keys = "POST" in (options.get("methods") or ())
        if self._takes_keys:
            options["openapi_extra"] = {"parameters": [_PARAMETER], **(options.get("openapi_extra") or {})}
            options["responses"] = {**responses(KeyNotValid, KeyReused), **(options.get("responses") or {})}
        super().__init__(path, _claiming(endpoint) if self._takes_keys else endpoint, **options)
        if self._takes_keys and not (iscoroutinefunction(endpoint) and _uses_session(self.dependant)):
            raise TypeError(f"{endpoint} takes an {KEY}, so it has to be `async def` and use `SessionDep`.")

    def get_route_handler(self) -> Handler:
        """Return the handler that calls the endpoint, and stores its response before the commit."""
        handle = super().get_route_handler()
        return _keeping(handle) if self._takes_keys else handle


def _uses_session(dependant: Dependant) -> bool:
    return dependant.call is get_session or any(map(_uses_session, dependant.dependencies))


def _claiming(endpoint: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Coroutine[Any, Any, Any]]:
    @wraps(endpoint)
    async def claiming(**arguments: Any) -> Any:
        if claim := _claim.get():
            await claim.take()
        return await endpoint(**arguments)

    return claiming


def _keeping(handle: Handler) -> Handler:
    async def keeping(request: Request) -> Response:
        keys = request.headers.getlist(KEY)
        if not keys:
            return await handle(request)
        if len(keys) > 1:
            raise KeyNotValid(f"Send exactly one {KEY}.")
        claim = _Claim(request, keys[0])
        before = _claim.set(claim)
        try:
            response = await handle(request)
        except _Replay as replay:
            return replay.response
        except AppError as error:
            if error.commit_on_error:
                await claim.release()
            raise
        finally:
            _claim.reset(before)
        await claim.keep(response)
        return response

    return keeping
