"""If the collector is down or slow, the application logs one warning and carries on."""

import asyncio
import json
import os
import time
from collections.abc import Callable, Iterator

import pytest
from fastapi import FastAPI
from opentelemetry.context import Context
from pydantic import SecretStr

from keel.application import new_app
from keel.observability import logs
from keel.otel import install, plugin
from keel.otel.providers import Providers, make_providers
from keel.otel.settings import OtelSettings
from keel.settings import CoreSettings
from keel.testing.support import PATIENCE
from keel.tests.otel.receiver import Receiver, attributes, points
from keel.tests.otel.support import Trace

Make = Callable[..., Providers]


@pytest.fixture
def silent() -> Iterator[Receiver]:
    """Return a collector that accepts requests but does not respond before the test ends."""
    with Receiver() as receiver:
        receiver.answering.clear()
        yield receiver


@pytest.fixture
def made(environment: None, silent: Receiver, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Return a function that creates providers for one test, with these variables."""
    ours: list[Providers] = []
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_on")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "1")

    def make_with(**variables: str) -> Providers:
        usual = {
            "OTEL_EXPORTER_OTLP_TIMEOUT": str(PATIENCE),
            "OTEL_BSP_MAX_QUEUE_SIZE": "64",
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "64",
        }
        for name, value in (usual | variables).items():
            monkeypatch.setenv(name, value)
        ours.append(make_providers(OtelSettings.load()))
        return ours[-1]

    yield make_with
    silent.answering.set()
    for each in ours:
        for provider in (each.traces, each.logs, each.metrics):
            if provider is not None:
                provider.shutdown()


def trace_something(providers: Providers, times: int = 1) -> None:
    """End some spans."""
    assert providers.traces is not None
    tracer = providers.traces.get_tracer("tests")
    for _ in range(times):
        tracer.start_span("work").end()


def written(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the events logged about telemetry."""
    events = [json.loads(line)["event"] for line in capsys.readouterr().out.splitlines()]
    return [event for event in events if event.startswith(("collector_", "telemetry_"))]


def test_unavailability_is_logged_once(made: Make, capsys: pytest.CaptureFixture[str]) -> None:
    """One line for the outage and one for the recovery, however many exports fail, and without headers."""
    logs.configure(CoreSettings(log_format="json"))
    with Receiver(status=400) as receiver:
        providers = made(OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url, OTEL_EXPORTER_OTLP_HEADERS="authorization=s3cret")
        capsys.readouterr()
        for _ in range(3):
            trace_something(providers)
            assert providers.flush(PATIENCE)
        outage = capsys.readouterr().out
        receiver.status = 200
        trace_something(providers)
        assert providers.flush(PATIENCE)

    assert [json.loads(line)["event"] for line in outage.splitlines()] == ["collector_unavailable"]
    assert "s3cret" not in outage
    assert written(capsys) == ["collector_recovered"]
    assert len(receiver.spans()) == 4


def test_spans_are_dropped_not_waited_for(made: Make, silent: Receiver) -> None:
    """A full queue and an unresponsive collector do not block the application."""
    providers = made(OTEL_EXPORTER_OTLP_ENDPOINT=silent.url)
    started = time.monotonic()
    trace_something(providers, 1000)

    # A single answer that was waited for would take longer.
    assert time.monotonic() - started < PATIENCE
    assert not providers.flush(0.02)


async def test_shutdown_does_not_wait_for_the_collector(
    environment: None, made: Make, silent: Receiver, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The flush at shutdown has a time limit, and a failure is logged."""
    providers = made(OTEL_EXPORTER_OTLP_ENDPOINT=silent.url)
    monkeypatch.setattr(plugin, "get_providers", lambda _: providers)
    monkeypatch.setattr(plugin, "FLUSH_SECONDS", 0.02)
    app = new_app()
    install(app)
    monkeypatch.setattr(plugin, "_instrument", lambda *_: None)
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
def test_nothing_is_installed_without_a_collector(
    environment: None, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    """The application has nothing else to start or stop."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    app = FastAPI()
    routes = len(app.router.routes)
    install(app)

    assert len(app.router.routes) == routes


def test_signals_can_be_switched_off(made: Make) -> None:
    """A signal without an exporter has no provider."""
    providers = made(OTEL_TRACES_EXPORTER="none", OTEL_LOGS_EXPORTER="none")

    assert (providers.traces, providers.logs) == (None, None)
    assert providers.metrics is not None


def recorded(providers: Providers, context: Context | None = None) -> int:
    """Return how many of 400 spans are recorded."""
    assert providers.traces is not None
    tracer = providers.traces.get_tracer("tests")
    return sum(tracer.start_span("work", context).is_recording() for _ in range(400))


def test_sampler_is_configurable(made: Make) -> None:
    """OpenTelemetry's variables select it, in production too."""
    quarter = made(OTEL_TRACES_SAMPLER="parentbased_traceidratio", OTEL_TRACES_SAMPLER_ARG="0.25")
    none = made(OTEL_TRACES_SAMPLER="always_off")
    every = made(ENVIRONMENT="production", OTEL_TRACES_SAMPLER="always_on")

    assert 50 < recorded(quarter) < 150
    assert (recorded(none), recorded(every)) == (0, 400)


@pytest.mark.parametrize(("environment_name", "expected"), [("local", 400), ("staging", 40), ("production", 40)])
def test_default_sampling(made: Make, monkeypatch: pytest.MonkeyPatch, environment_name: str, expected: int) -> None:
    """All traces are recorded in local and test, one in ten elsewhere; a caller's decision is followed."""
    for name in ("OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"):
        monkeypatch.delenv(name)
    providers = made(ENVIRONMENT=environment_name)

    assert abs(recorded(providers) - expected) < 40
    assert recorded(providers, Trace().context) == 400
    assert recorded(providers, Trace(sampled=False).context) == 0


def test_series_are_bounded(made: Make) -> None:
    """Beyond 2,000 combinations of attributes, an instrument counts in an overflow series."""
    with Receiver() as receiver:
        providers = made(OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)
        assert providers.metrics is not None
        counter = providers.metrics.get_meter("tests").create_counter("ships")
        for number in range(2100):
            counter.add(1, {"number": number})
        assert providers.flush(PATIENCE)
        found = points(receiver.metrics()["ships"])

    assert len(found) <= 2001
    assert sum(point.as_int for point in found if "otel.metric.overflow" in attributes(point.attributes)) >= 100


def test_settings_of_the_file_reach_the_sdk(environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenTelemetry only reads the environment, which takes precedence over the file."""
    monkeypatch.setenv("OTEL_SERVICE_NAME", "of-the-environment")
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_HEADERS", raising=False)
    monkeypatch.setenv("OTEL_SDK_DISABLED", "to be restored")
    monkeypatch.delenv("OTEL_SDK_DISABLED")
    OtelSettings(service_name="of-the-file", exporter_otlp_headers=SecretStr("a=b"), sdk_disabled=True).export()

    assert os.environ["OTEL_SERVICE_NAME"] == "of-the-environment"
    assert os.environ["OTEL_EXPORTER_OTLP_HEADERS"] == "a=b"
    assert os.environ["OTEL_SDK_DISABLED"] == "true"
