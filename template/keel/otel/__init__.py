"""Traces, metrics and logs over OTLP, by OpenTelemetry's SDK."""

from fastapi import FastAPI


def install(app: FastAPI) -> None:
    """Export telemetry if a collector is configured; otherwise the SDK is not imported.

    Raises:
        SettingsError: a setting is not usable.
        PackageError: a module `gauges` has no `read`.
    """
    from keel.otel.settings import OtelSettings

    settings = OtelSettings.load()
    if settings.exporting:
        from keel.otel import plugin

        plugin.install(app, settings)
