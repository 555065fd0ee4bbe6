"""Telemetry: traces, metrics and logs over OTLP."""

from fastapi import FastAPI


def install(app: FastAPI) -> None:
    """Send what can be seen of the application to a collector, if one is named."""
    from keel.otel.settings import TelemetrySettings

    settings = TelemetrySettings.load()
    if settings.exporting:
        from keel.otel.lifecycle import install_telemetry

        install_telemetry(app, settings)
