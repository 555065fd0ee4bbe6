"""The floor of streamed answers: the embedded model behind a bare Starlette endpoint, which keeps nothing."""

import json
import os
from collections.abc import AsyncGenerator

from keel.llm.model.embedded import EmbeddedModel
from langchain_core.messages import HumanMessage
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

MODEL = EmbeddedModel(seconds_per_word=float(os.environ["LLM_EMBEDDED_SECONDS"]))


async def answer(request: Request) -> Response:
    """Stream an answer, an event for each token."""
    question = (await request.json())["content"]

    async def events() -> AsyncGenerator[str]:
        async for chunk in MODEL.astream([HumanMessage(question)]):
            if text := str(chunk.text):
                yield f"event: token\ndata: {json.dumps({'text': text})}\n\n"
        yield "event: message\ndata: {}\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")


async def health(_: Request) -> Response:
    """Say that it serves."""
    return PlainTextResponse("ok")


app = Starlette(routes=[Route("/healthz", health), Route("/answer", answer, methods=["POST"])])
