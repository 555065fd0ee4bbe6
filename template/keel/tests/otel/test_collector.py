"""A collector that is away, or slow, costs nothing but a warning."""

import asyncio
import json
import os
import time
from collections.abc import Callable, Iterator

import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from keel.application import new_app
from keel.observability import logs
from keel.otel import install, lifecycle
from keel.otel.providers import Providers, make
from keel.otel.settings import TelemetrySettings
from keel.settings import CoreSettings
from keel.testing.support import PATIENCE
from keel.tests.otel.receiver import Receiver

Make = Callable[..., Providers]


@pytest.fixture
def silent() -> Iterator[Receiver]:
    """Return a collector that takes requests and says nothing, until the test ends."""
    with Receiver() as receiver:
        receiver.answering.clear()
        yield receiver


@pytest.fixture
def made(environment: None, silent: Receiver, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Return what makes providers of a test's own, with these variables."""
    ours: list[Providers] = []

    def make_with(**variables: str) -> Providers:
        usual = {
            "OTEL_EXPORTER_OTLP_TIMEOUT": str(PATIENCE),
            "OTEL_TRACES_SAMPLER": "always_on",
            "OTEL_BSP_MAX_QUEUE_SIZE": "64",
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "64",
        }
        for name, value in (usual | variables).items():
            monkeypatch.setenv(name, value)
        ours.append(make(TelemetrySettings.load()))
        return ours[-1]

    yield make_with
    silent.answering.set()
    for each in ours:
        each.shutdown()


def trace_something(providers: Providers, times: int = 1) -> None:
    """End some spans."""
    assert providers.traces is not None
    tracer = providers.traces.get_tracer("tests")
    for _ in range(times):
        tracer.start_span("work").end()


def written(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the events that were logged about telemetry."""
    events = [json.loads(line)["event"] for line in capsys.readouterr().out.splitlines()]
    return [event for event in events if event.startswith(("collector_", "telemetry_"))]


def test_one_warning(made: Make, capsys: pytest.CaptureFixture[str]) -> None:
    """However often sending fails, one line says so, and one that it works again. The line names no headers."""
    logs.configure(CoreSettings(log_format="json"))
    with Receiver(status=400) as receiver:
        providers = made(OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url, OTEL_EXPORTER_OTLP_HEADERS="authorization=s3cret")
        capsys.readouterr()
        for _ in range(3):
            trace_something(providers)
            assert providers.flush(PATIENCE)
        away = written(capsys)
        receiver.status = 200
        trace_something(providers)
        assert providers.flush(PATIENCE)

    assert away == ["collector_away"]
    assert written(capsys) == ["collector_back"]
    assert len(receiver.spans()) == 4


def test_nobody_waits_for_it(made: Make, silent: Receiver) -> None:
    """More spans than are kept for a collector that does not answer are dropped, not waited for."""
    providers = made(OTEL_EXPORTER_OTLP_ENDPOINT=silent.url)
    started = time.monotonic()
    trace_something(providers, 1000)

    # So long would whoever waited for a single answer.
    assert time.monotonic() - started < PATIENCE
    assert not providers.flush(0.02)


async def test_the_end_of_a_process_does_not_wait(
    environment: None, made: Make, silent: Receiver, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A process gets a moment to tell its last, and then ends."""
    providers = made(OTEL_EXPORTER_OTLP_ENDPOINT=silent.url)
    monkeypatch.setattr(lifecycle, "providers", lambda _: providers)
    monkeypatch.setattr(lifecycle, "FLUSH_SECONDS", 0.02)
    app = new_app()
    install(app)
    monkeypatch.setattr(lifecycle, "_connect", lambda *_: None)
    async with asyncio.timeout(PATIENCE / 2), app.router.lifespan_context(app):
        trace_something(providers)

    assert "telemetry_not_flushed" in written(capsys)


@pytest.mark.parametrize(
    "variables",
    [
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {"OTEL_SDK_DISABLED": "true"},
        {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"},
    ],
)
def test_without_a_collector(environment: None, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    """Nothing is set up, and the application has nothing more to start or stop."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    app = FastAPI()
    routes = len(app.router.routes)
    install(app)

    assert len(app.router.routes) == routes


def test_signals_can_be_chosen(made: Make) -> None:
    """What is not to be sent is not collected."""
    providers = made(OTEL_TRACES_EXPORTER="none", OTEL_LOGS_EXPORTER="none")

    assert (providers.traces, providers.logs) == (None, None)
    assert providers.metrics is not None


def test_sampling(made: Make, receiver: Receiver) -> None:
    """A part of all traces is recorded, or none."""
    some = made(OTEL_TRACES_SAMPLER="parentbased_traceidratio", OTEL_TRACES_SAMPLER_ARG="0.25")
    none = made(OTEL_TRACES_SAMPLER="always_off")
    recorded = []
    for providers in (some, none):
        assert providers.traces is not None
        tracer = providers.traces.get_tracer("tests")
        recorded.append(sum(tracer.start_span("work").is_recording() for _ in range(400)))

    assert 50 < recorded[0] < 150
    assert recorded[1] == 0


def test_what_the_file_says_reaches_the_sdk(environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenTelemetry reads the environment alone; what is there already counts more than the file."""
    monkeypatch.setenv("OTEL_SERVICE_NAME", "of-the-environment")
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_HEADERS", raising=False)
    monkeypatch.setenv("OTEL_SDK_DISABLED", "to be restored")
    monkeypatch.delenv("OTEL_SDK_DISABLED")
    TelemetrySettings(service_name="of-the-file", exporter_otlp_headers=SecretStr("a=b"), sdk_disabled=True).export()

    assert os.environ["OTEL_SERVICE_NAME"] == "of-the-environment"
    assert os.environ["OTEL_EXPORTER_OTLP_HEADERS"] == "a=b"
    assert os.environ["OTEL_SDK_DISABLED"] == "true"
