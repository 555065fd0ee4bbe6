"""Settings of telemetry: OpenTelemetry's own variables, so that what is known of them elsewhere holds here."""

import os
from typing import Annotated, Literal

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from keel.settings import Settings

Exporter = Literal["otlp", "none"]


class TelemetrySettings(Settings):
    """Where telemetry goes, and how much of it.

    Others of OpenTelemetry's variables, such as `OTEL_BSP_SCHEDULE_DELAY`, work too where they are in the environment.
    """

    model_config = SettingsConfigDict(env_prefix="OTEL_")

    exporter_otlp_endpoint: Annotated[str, Field(pattern=r"^(https?://\S+)?$")] = ""
    """The collector, which takes OTLP over HTTP, such as http://localhost:4318; empty: nothing is collected or sent."""

    exporter_otlp_headers: SecretStr = SecretStr("")
    """Headers for the collector, such as `authorization=Basic%20...`; several are separated by commas."""

    exporter_otlp_timeout: Annotated[float, Field(gt=0)] = 10.0
    """Seconds that sending one batch may take, attempts included; it holds up nothing else."""

    sdk_disabled: bool = False
    """Whether nothing is collected or sent, whatever else is set."""

    service_name: str | None = None
    """What the service is called; if it is not set, by the application's name."""

    resource_attributes: str = ""
    """More about the service, such as `deployment.environment.name=eu-production`; several are separated by commas."""

    traces_sampler: Literal[
        "always_on",
        "always_off",
        "traceidratio",
        "parentbased_always_on",
        "parentbased_always_off",
        "parentbased_traceidratio",
    ] = "parentbased_always_on"
    """Which traces are recorded; `parentbased` ones do as the caller does who began a trace."""

    traces_sampler_arg: Annotated[float, Field(ge=0, le=1)] = 1.0
    """The part of all traces that a sampler by ratio records."""

    traces_exporter: Exporter = "otlp"
    metrics_exporter: Exporter = "otlp"
    logs_exporter: Exporter = "otlp"

    metric_export_interval: Annotated[int, Field(ge=100)] = 15_000
    """Milliseconds between two reports of all metrics."""

    @property
    def exporting(self) -> bool:
        """Whether there is anything to collect."""
        signals = (self.traces_exporter, self.metrics_exporter, self.logs_exporter)
        return bool(self.exporter_otlp_endpoint) and not self.sdk_disabled and "otlp" in signals

    def export(self) -> None:
        """Put what `.env` says into the environment, where OpenTelemetry looks for it; what is there stays."""
        for field in self.model_fields_set - {"environment"}:
            value = getattr(self, field)
            text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
            os.environ.setdefault(self.variable(field), text.lower() if isinstance(value, bool) else text)
