"""Health checks: liveness (the process runs) and readiness (it can serve requests)."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Literal

import structlog
from fastapi import FastAPI, Response
from pydantic import BaseModel, Field

from keel.web import errors
from keel.web.openapi.problems import documented

Check = Callable[[], Awaitable[None]]
"""Returns if the dependency works, raises otherwise."""

log = structlog.get_logger()


class Health(BaseModel):
    """The process runs."""

    status: Literal["ok"] = "ok"


LIVENESS = "/healthz"
_ALIVE = Health().model_dump_json()


class CheckResult(BaseModel):
    """The outcome of one check."""

    status: Literal["ok", "failed"]
    duration_ms: float


class Readiness(BaseModel):
    """The process can serve requests: all required checks passed."""

    status: Literal["ready", "degraded"] = Field(
        default="ready",
        description="`degraded`: an optional dependency does not answer; requests are served without it.",
    )
    checks: dict[str, CheckResult]


class Checks:
    """The readiness checks that packages register."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._checks: dict[str, Check] = {}
        self._required: dict[str, bool] = {}

    def add(self, name: str, check: Check, *, required: bool = True) -> None:
        """Register a check under a name that appears in the response.

        A failing check that is not `required` is reported as `degraded` and keeps the process in service: the failure
        of a dependency that all processes share must not take all of them out of the load balancer.
        """
        self._checks[name] = check
        self._required[name] = required

    def fatal(self, results: Mapping[str, CheckResult]) -> bool:
        """Return whether a required check has failed."""
        return any(result.status == "failed" and self._required[name] for name, result in results.items())

    async def run(self) -> dict[str, CheckResult]:
        """Run all checks at once, each with the timeout."""
        results = await asyncio.gather(*(self._run(name, check) for name, check in self._checks.items()))
        return dict(zip(self._checks, results, strict=True))

    async def _run(self, name: str, check: Check) -> CheckResult:
        started = time.perf_counter()
        try:
            async with asyncio.timeout(self._timeout):
                await check()
        except Exception as error:  # noqa: BLE001 - any error means not ready
            # The reason goes to the log only: the endpoint is public.
            await log.awarning("readiness_check_failed", check=name, error=repr(error))
            status: Literal["ok", "failed"] = "failed"
        else:
            status = "ok"
        return CheckResult(status=status, duration_ms=round((time.perf_counter() - started) * 1000, 2))


async def liveness() -> Response:
    """Liveness probe: restart the process if this does not answer."""
    return alive()


def alive() -> Response:
    """Return the response of a running process."""
    return Response(_ALIVE, media_type="application/json")


def install(app: FastAPI, checks: Checks, stopping: Callable[[], bool]) -> None:
    """Add the two endpoints.

    On the application itself: routes of an included router take longer to find, and every request looks here first.
    """

    async def readiness() -> Readiness:
        """Readiness probe: route no requests to the process while this fails."""
        results = await checks.run()
        members = {"checks": {name: result.model_dump() for name, result in results.items()}}
        if stopping():
            raise errors.Unavailable("The process is about to stop.", members=members)
        if checks.fatal(results):
            raise errors.Unavailable("At least one check failed.", members=members)
        degraded = any(result.status == "failed" for result in results.values())
        return Readiness(status="degraded" if degraded else "ready", checks=results)

    not_ready = documented(503, "Not ready: route no requests here.", name="not-ready", members={"checks": {}})
    runs, ready = "Check that the process runs", "Check that requests can be served"
    app.get(LIVENESS, tags=["health"], summary=runs, response_model=Health)(liveness)
    app.get("/readyz", tags=["health"], summary=ready, responses={503: not_ready})(readiness)
