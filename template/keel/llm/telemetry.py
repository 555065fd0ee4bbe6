"""Telemetry of answers and tools, named as OpenTelemetry does where it can be. Neither text nor callers are recorded."""

import asyncio
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager

from keel.observability import tracing

_ENDED = tracing.meter.create_counter("app.llm.answer.ended", unit="{answer}", description="Ended answers, by state")
_ACTIVE = tracing.meter.create_up_down_counter(
    "app.llm.answer.active", unit="{answer}", description="Answers under way, including those that wait for their turn"
)
_WAITING = tracing.meter.create_up_down_counter(
    "app.llm.answer.waiting", unit="{answer}", description="Answers that wait for their turn"
)
_TOOLS = tracing.meter.create_histogram(
    "gen_ai.execute_tool.duration",
    unit="s",
    description="Duration of calls of tools",
    explicit_bucket_boundaries_advisory=[0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24],
)


async def answer_ended(state: str) -> None:
    """Count an outcome, once it is stored."""
    _ENDED.add(1, {"app.llm.answer.state": state})


@contextmanager
def active_answer() -> Generator[None]:
    """Count an answer while the block runs."""
    _ACTIVE.add(1)
    try:
        yield
    finally:
        _ACTIVE.add(-1)


@asynccontextmanager
async def turn(turns: asyncio.Semaphore) -> AsyncGenerator[None]:
    """Wait for a turn, and keep it while the block runs."""
    _WAITING.add(1)
    try:
        await turns.acquire()
    finally:
        _WAITING.add(-1)
    try:
        yield
    finally:
        turns.release()


@contextmanager
def tool_call(name: str) -> Generator[None]:
    """Record the block as a call of a tool; its name must be of low cardinality."""
    attributes = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name}
    failed: dict[str, str] = {}
    began = time.perf_counter()
    try:
        with tracing.step(f"execute_tool {name}", attributes=attributes):
            yield
    except Exception as error:
        failed = {"error.type": type(error).__qualname__}
        raise
    finally:
        _TOOLS.record(time.perf_counter() - began, {"gen_ai.tool.name": name} | failed)
