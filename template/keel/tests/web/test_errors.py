"""Every error is a problem document with the request's id."""

from collections.abc import AsyncIterator
from datetime import date
from typing import Any

import pytest
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import StreamingResponse
from httpx2 import AsyncClient, Response

from keel.application import new_app
from keel.testing.support import running
from keel.web.openapi.problems import MEDIA_TYPE


def assert_problem(answer: Response, status: int) -> dict[str, Any]:
    """Check that a response is a problem document with a status, and return it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == MEDIA_TYPE
    document = answer.json()
    assert document["status"] == status
    assert document["title"]
    assert document["request_id"] == answer.headers["X-Request-ID"]
    return document


async def test_unknown_path(client: AsyncClient) -> None:
    """It gets 404."""
    assert_problem(await client.get("/nowhere"), 404)


async def test_no_redirects(client: AsyncClient) -> None:
    """A path with an extra slash is not found, in every method."""
    assert_problem(await client.delete("/api/v1/widgets/"), 404)


async def test_unknown_method(client: AsyncClient) -> None:
    """It gets 405, with the allowed methods."""
    answer = await client.put("/api/v1/widgets")

    assert_problem(answer, 405)
    assert answer.headers["Allow"]


MALFORMED = {
    "open": b"{",
    "empty": b"",
    "no text": b"\xff\xfe",
    "surrogate": b'{"title": "\\ud800"}',
    "surrogate name": b'{"title": "fine", "\\ud800": 1}',
    "nul": b'{"title": "a\\u0000b"}',
    "deep": b"[" * 100_000,
    "nan": b'{"title": NaN}',
    "huge number": b'{"title": ' + b"9" * 5000 + b"}",
}


async def test_malformed_body(client: AsyncClient) -> None:
    """A client error is never a server error, whatever bytes are sent."""
    for name, content in MALFORMED.items():
        answer = await client.post("/api/v1/widgets", content=content, headers={"Content-Type": "application/json"})

        assert answer.status_code in {400, 422}, name
        assert_problem(answer, answer.status_code)


async def test_input_is_not_repeated(client: AsyncClient) -> None:
    """A response may be logged where a secret must not be."""
    answer = await client.post("/api/v1/widgets", json={"title": ["s3cret"]})

    assert_problem(answer, 422)
    assert "s3cret" not in answer.text


async def test_oversized_body(client: AsyncClient) -> None:
    """It gets 413 by its declared length, before it is read."""
    answer = await client.post("/api/v1/widgets", content=b"x" * 1_048_577)

    assert_problem(answer, 413)


async def test_oversized_body_of_unknown_length(client: AsyncClient) -> None:
    """It gets 413 as soon as it exceeds the limit."""

    async def chunks() -> Any:
        for _ in range(17):
            yield b"x" * 65536

    answer = await client.post("/api/v1/widgets", content=chunks(), headers={"Content-Type": "application/json"})

    assert_problem(answer, 413)


@pytest.fixture
def faulty(environment: None) -> FastAPI:
    """Return an application with routes that fail."""
    app = new_app()

    @app.get("/crash")
    async def crash() -> None:
        raise RuntimeError("the secret reason")

    @app.get("/structured")
    async def structured() -> None:
        raise HTTPException(409, {"code": 7, "since": date(2026, 1, 1)})

    @app.post("/small", max_body_size=3)
    @app.post("/large", max_body_size=2_000_000)
    async def length(request: Request) -> int:
        return len(await request.body())

    @app.post("/unread", max_body_size=3)
    async def unread() -> None:
        pass

    @app.get("/custom")
    async def custom() -> None:
        raise HTTPException(499, "Client went away")

    return app


async def test_unexpected_error(faulty: FastAPI, capsys: pytest.CaptureFixture[str]) -> None:
    """A 500 reveals no reason; the log has it, under the same request id."""
    async with running(faulty) as client:
        answer = await client.get("/crash")

    document = assert_problem(answer, 500)
    logged = capsys.readouterr().out
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "secret" not in str(document)
    assert "the secret reason" in logged
    assert document["request_id"] in logged


async def test_status_without_a_name(faulty: FastAPI) -> None:
    """A status that HTTP does not define still gets a problem document."""
    async with running(faulty) as client:
        document = assert_problem(await client.get("/custom"), 499)

    assert document["detail"] == "Client went away"


async def test_structured_detail(faulty: FastAPI) -> None:
    """FastAPI allows any JSON; in a problem document it becomes an extra member, because `detail` is a string."""
    async with running(faulty) as client:
        document = assert_problem(await client.get("/structured"), 409)

    assert "detail" not in document
    assert document["details"] == {"code": 7, "since": "2026-01-01"}


async def test_body_limit_of_a_path_operation(faulty: FastAPI) -> None:
    """`max_body_size` of FastAPI's decorators replaces MAX_BODY_SIZE, upwards and downwards."""
    async with running(faulty) as client:
        assert (await client.post("/large", content=b"x" * 1_500_000)).json() == 1_500_000
        assert (await client.post("/small", content=b"xyz")).json() == 3
        for path, size in (("/small", 3), ("/unread", 3), ("/large", 2_000_000)):
            document = assert_problem(await client.post(path, content=b"x" * (size + 1)), 413)
            assert document["detail"] == f"The body exceeds the limit of {size} bytes."


async def test_error_in_the_middle_of_a_response(faulty: FastAPI, capsys: pytest.CaptureFixture[str]) -> None:
    """The connection is cut off, so that a truncated response does not look complete."""

    async def half() -> AsyncIterator[bytes]:
        yield b"half of it"
        raise RuntimeError("the rest is lost")

    @faulty.get("/half")
    async def answer_half() -> StreamingResponse:
        return StreamingResponse(half())

    async with running(faulty) as client:
        with pytest.raises(RuntimeError, match="the rest is lost"):
            await client.get("/half")
    assert "the rest is lost" in capsys.readouterr().out
