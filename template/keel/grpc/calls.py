"""What every call goes through: its id, one access line, a span and a measurement, the rate limit, and errors."""

import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any, TypeAlias

import grpc
import structlog
from fastapi import FastAPI
from google.protobuf.message import DecodeError

from keel.grpc.errors import InvalidRequest, UnknownMethod, Violation, code_of, status_of
from keel.grpc.observed import Observed
from keel.grpc.scopes import EXEMPT, Context, scope_of
from keel.services import services_of
from keel.web.errors import TooManyRequests
from keel.web.rate_limit import RateLimit

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Continuation: TypeAlias = "Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]]"

log = structlog.get_logger()


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Puts itself around each method of each service."""

    def __init__(self, app: FastAPI) -> None:
        self._limit: RateLimit | None = services_of(app).rate_limit if services_of(app).settings.rate_limit else None
        self._around: dict[str, Handler] = {}

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler:
        """Return what handles a call."""
        method = handler_call_details.method
        around = self._around.get(method)
        if around is None:
            handler = await continuation(handler_call_details)
            if handler is None:
                # Not kept: a stranger may think of any number of names.
                return grpc.stream_stream_rpc_method_handler(self._unknown(method))
            around = self._around[method] = self._wrapped(method, handler)
        return around

    def _wrapped(self, method: str, handler: Handler) -> Handler:
        """Return a handler of the same kind. Messages are read within it, so that one which cannot be is an error like others."""
        kind = ("stream" if handler.request_streaming else "unary", "stream" if handler.response_streaming else "unary")
        name = "_".join(kind)
        behaviour = getattr(handler, name)
        read = _read_all if handler.request_streaming else _read
        deserialize = handler.request_deserializer or bytes

        async def unary(raw: Any, context: Context) -> Any:
            async with self._call(method, context):
                return await behaviour(read(deserialize, raw), context)

        async def stream(raw: Any, context: Context) -> None:
            # Written from here rather than yielded: what ends the call then ends the method too, and at once.
            async with self._call(method, context):
                answer = behaviour(read(deserialize, raw), context)
                if not inspect.isasyncgen(answer):
                    await answer
                    return
                async with aclosing(answer):
                    async for message in answer:
                        await context.write(message)

        make = getattr(grpc, f"{name}_rpc_method_handler")
        return make(stream if handler.response_streaming else unary, None, handler.response_serializer)

    def _unknown(self, method: str) -> Callable[[Any, Context], Awaitable[None]]:
        async def refuse(_: Any, context: Context) -> None:
            async with self._call(method, context, known=False):
                raise UnknownMethod("There is no such method here.")

        return refuse

    @asynccontextmanager
    async def _call(self, method: str, context: Context, *, known: bool = True) -> AsyncGenerator[None]:
        """See a call through; tell the caller of an error by the code that belongs to it.

        Raises:
            grpc.aio.AbortError: the call has failed, and the caller has been told.
        """
        scope = scope_of(method, context)
        trailing: list[tuple[str, str | bytes]] = []
        failure: Exception | None = None
        async with Observed(scope, context, known=known) as observed:
            trailing.append(("x-request-id", observed.request_id))
            context.set_trailing_metadata(tuple(trailing))
            try:
                if self._limit is not None and not method.startswith(EXEMPT):
                    await self._count(self._limit, scope, context, trailing)
                yield
            except grpc.aio.AbortError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is, the caller is told something
                failure = error
                if code_of(error) is grpc.StatusCode.INTERNAL:
                    await log.aexception("unhandled_error", method=method)
                observed.failed(code_of(error), error)
        if failure is not None:
            service = method.strip("/").rpartition("/")[0]
            status = status_of(failure, service=service, request_id=observed.request_id)
            await context.abort(status.code, status.details, (*trailing, *status.trailing_metadata))

    async def _count(
        self, limit: RateLimit, scope: Any, context: Context, trailing: list[tuple[str, str | bytes]]
    ) -> None:
        """Count a call as HTTP counts a request, for the same caller.

        Raises:
            TooManyRequests: the caller has used up what is allowed.
        """
        allowed, headers, seconds = await limit.hit(scope)
        trailing += [(name.decode(), value.decode()) for name, value in headers]
        context.set_trailing_metadata(tuple(trailing))
        if not allowed:
            raise TooManyRequests("Too many requests; see the retry delay.", headers={"Retry-After": str(seconds)})


def _read(deserialize: Callable[[bytes], Any], raw: bytes) -> Any:
    try:
        return deserialize(raw)
    except DecodeError as error:
        raise InvalidRequest([Violation("", "This is no message of the method's type.", "MALFORMED")]) from error


async def _read_all(deserialize: Callable[[bytes], Any], raw: AsyncIterator[bytes]) -> AsyncIterator[Any]:
    async for each in raw:
        yield _read(deserialize, each)
