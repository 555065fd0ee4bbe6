"""The interceptor of all calls: request id, access line, span and metrics, rate limit, errors."""

import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, aclosing, asynccontextmanager, nullcontext
from typing import Any, TypeAlias

import grpc
import structlog
from fastapi import FastAPI
from google.protobuf.message import DecodeError

from keel.grpc.asgi_scope import EXEMPT, Context, asgi_scope
from keel.grpc.errors import InvalidRequest, UnknownMethod, Violation, code_of, status_of
from keel.grpc.metrics import CallTelemetry
from keel.services import services_of
from keel.web.errors import TooManyRequests
from keel.web.rate_limit import RateLimit

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Continuation: TypeAlias = "Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]]"

log = structlog.get_logger()


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Wraps each method of each service."""

    def __init__(self, app: FastAPI) -> None:
        self._services = services_of(app)
        self._limit: RateLimit | None = self._services.rate_limit if self._services.settings.rate_limit else None
        self._handlers: dict[str, Handler] = {}

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler:
        """Return the handler of a call."""
        method = handler_call_details.method
        wrapped = self._handlers.get(method)
        if wrapped is None:
            handler = await continuation(handler_call_details)
            if handler is None:
                # Not cached: clients may send any number of names.
                return grpc.stream_stream_rpc_method_handler(self._unknown(method))
            wrapped = self._handlers[method] = self._wrap(method, handler)
        return wrapped

    def _wrap(self, method: str, handler: Handler) -> Handler:
        """Return a handler of the same kind that parses messages itself, so a malformed one is an error like others."""
        kind = ("stream" if handler.request_streaming else "unary", "stream" if handler.response_streaming else "unary")
        name = "_".join(kind)
        behaviour = getattr(handler, name)
        read = _read_all if handler.request_streaming else _read
        deserialize = handler.request_deserializer or bytes

        async def unary(raw: Any, context: Context) -> Any:
            async with self._call(method, context):
                return await behaviour(read(deserialize, raw), context)

        async def stream(raw: Any, context: Context) -> None:
            # Written here instead of yielded, so that the end of the call ends the method at once.
            async with self._call(method, context, streams=True):
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
                raise UnknownMethod("Unknown method.")

        return refuse

    @asynccontextmanager
    async def _call(
        self, method: str, context: Context, *, known: bool = True, streams: bool = False
    ) -> AsyncGenerator[None]:
        """Run a call; if it fails, abort it with the code of its error. A stream counts towards its caller's limit.

        Raises:
            grpc.aio.AbortError: the call has failed.
        """
        scope = asgi_scope(method, context)
        trailing: list[tuple[str, str | bytes]] = []
        failure: Exception | None = None
        async with CallTelemetry(scope, context, known=known) as telemetry:
            trailing.append(("x-request-id", telemetry.request_id))
            context.set_trailing_metadata(tuple(trailing))
            try:
                if self._limit is not None and not method.startswith(EXEMPT):
                    await self._count(self._limit, scope, context, trailing)
                with self._counted(scope) if streams and not method.startswith(EXEMPT) else nullcontext():
                    yield
            except grpc.aio.AbortError:
                raise
            except Exception as error:  # noqa: BLE001 - every error becomes a status
                failure = error
                if code_of(error) is grpc.StatusCode.INTERNAL:
                    await log.aexception("unhandled_error", method=method)
                telemetry.failed(code_of(error), error)
        if failure is not None:
            service = method.strip("/").rpartition("/")[0]
            status = status_of(failure, service=service, request_id=telemetry.request_id)
            await context.abort(status.code, status.details, (*trailing, *status.trailing_metadata))

    def _counted(self, scope: Any) -> AbstractContextManager[None]:
        return self._services.streams.counted(self._services.rate_limit.key(scope))

    async def _count(
        self, limit: RateLimit, scope: Any, context: Context, trailing: list[tuple[str, str | bytes]]
    ) -> None:
        """Count a call against the caller's rate limit, which HTTP shares.

        Raises:
            TooManyRequests: the limit is exceeded.
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
        raise InvalidRequest([Violation("", "Not a message of the method's request type.", "MALFORMED")]) from error


async def _read_all(deserialize: Callable[[bytes], Any], raw: AsyncIterator[bytes]) -> AsyncIterator[Any]:
    async for each in raw:
        yield _read(deserialize, each)
