"""Responses that are tables: in the format that the caller accepts, at once or in chunks."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Depends, Header, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from keel.analytics.formats import Format, content
from keel.analytics.negotiation import NotAcceptable, choose
from keel.analytics.workers import Workers
from keel.analytics.writers import Rows, writer
from keel.dependencies import ServicesDep
from keel.text import SafeStr
from keel.web.errors import AppError, responses


class TooManyRows(AppError):
    """The table has more rows than one response may have."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    type = "urn:problem:too-many-rows"


class Tables:
    """Builds the response to one request, in the format that its caller accepts."""

    def __init__(self, format_: Format, workers: Workers) -> None:
        self.format = format_
        self._workers = workers

    async def respond(self, row: type[BaseModel], rows: Rows, name: str) -> Response:
        """Return a table in one piece.

        Args:
            row: the model of the rows.
            rows: database rows, mappings or models with the model's fields; or a DataFrame.
            name: the name of the file, without an extension.
        """

        def encode() -> bytes:
            file = writer(self.format, row)
            return file.write(rows) + file.close()

        data = await self._workers.encode(self.format, encode)
        return Response(data, media_type=self.format.content_type, headers=self.headers(name))

    async def stream(self, row: type[BaseModel], chunks: AsyncGenerator[Rows], name: str) -> Response:
        """Return a table chunk by chunk, each read once the previous one is sent, so memory stays bounded.

        The first chunk is read before the response begins, so its errors are problem documents. Later errors close
        the connection: every format has an end marker, so clients notice.
        """
        parts = self._parts(row, chunks)
        first = await anext(parts)

        async def body() -> AsyncGenerator[bytes]:
            async with aclosing(parts):
                yield first
                async for part in parts:
                    yield part

        return StreamingResponse(body(), media_type=self.format.content_type, headers=self.headers(name))

    async def _parts(self, row: type[BaseModel], chunks: AsyncGenerator[Rows]) -> AsyncGenerator[bytes]:
        file = await self._workers.run(lambda: writer(self.format, row))
        async with aclosing(chunks):
            async for rows in chunks:
                if part := await self._workers.encode(self.format, lambda rows=rows: file.write(rows)):
                    yield part
        yield await self._workers.encode(self.format, file.close)

    def headers(self, name: str) -> dict[str, str]:
        """Return the headers of a response; formats that browsers do not show become a download of that name."""
        headers = {"Vary": "Accept", "Cache-Control": "private, no-cache"}
        if self.format.extension:
            headers["Content-Disposition"] = f'attachment; filename="{name}{self.format.extension}"'
        return headers


def table_responses(row: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    """Return the `responses=` of a path operation that returns a table: its formats, and 406."""
    return {200: {"content": content(row)}, **responses(NotAcceptable)}


async def get_tables(
    services: ServicesDep,
    # OpenAPI ignores a parameter of this name: the response's media types document it (Parameter Object, "name").
    accept: Annotated[SafeStr | None, Header(include_in_schema=False)] = None,
) -> Tables:
    """Negotiate the format of a response, before anything is computed.

    Raises:
        NotAcceptable: the caller accepts no format of tables.
    """
    return Tables(Format(choose(accept, [*Format])), services.analytics)


TablesDep = Annotated[Tables, Depends(get_tables)]
