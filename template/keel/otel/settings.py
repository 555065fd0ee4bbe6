"""Settings of telemetry: OpenTelemetry's own variables, with their own meanings."""

import os
from typing import Annotated, Literal

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from keel.settings import Settings

Exporter = Literal["otlp", "none"]

DEPLOYED_RATIO = 0.1
"""The ratio of traces recorded by default in staging and production."""


class OtelSettings(Settings):
    """The collector, and which telemetry to export.

    OpenTelemetry's other variables, such as `OTEL_BSP_SCHEDULE_DELAY`, also work in the environment.
    """

    model_config = SettingsConfigDict(env_prefix="OTEL_")

    exporter_otlp_endpoint: Annotated[str, Field(pattern=r"^(https?://\S+)?$")] = ""
    """The collector (OTLP over HTTP), such as http://localhost:4318; if empty, nothing is collected or exported."""

    exporter_otlp_headers: SecretStr = SecretStr("")
    """Headers of export requests, such as `authorization=Basic%20...`, separated by commas."""

    exporter_otlp_timeout: Annotated[float, Field(gt=0)] = 10.0
    """Timeout of exporting one batch including retries, in seconds; requests do not wait for it."""

    sdk_disabled: bool = False
    """Whether telemetry is off, regardless of other settings."""

    service_name: str | None = None
    """`service.name`; by default, the application's name."""

    resource_attributes: str = ""
    """More attributes of the resource, such as `deployment.environment.name=eu-production`, separated by commas."""

    traces_sampler: Literal[
        "always_on",
        "always_off",
        "traceidratio",
        "parentbased_always_on",
        "parentbased_always_off",
        "parentbased_traceidratio",
    ] = "parentbased_traceidratio"
    """Which traces are recorded; `parentbased` samplers follow the caller's decision if there is one."""

    traces_sampler_arg: Annotated[float | None, Field(ge=0, le=1)] = None
    """The ratio of traces that `traceidratio` samplers record; by default 0.1 in staging and production, else 1."""

    traces_exporter: Exporter = "otlp"
    metrics_exporter: Exporter = "otlp"
    logs_exporter: Exporter = "otlp"

    metric_export_interval: Annotated[int, Field(ge=100)] = 15_000
    """Milliseconds between two exports of all metrics."""

    @property
    def exporting(self) -> bool:
        """Whether there is a collector, and a signal to export to it."""
        signals = (self.traces_exporter, self.metrics_exporter, self.logs_exporter)
        return bool(self.exporter_otlp_endpoint) and not self.sdk_disabled and "otlp" in signals

    def export(self) -> None:
        """Copy settings from `.env` and the sampler to the environment, which the SDK reads, unless it has them."""
        for field in self.model_fields_set - {"environment"}:
            value = getattr(self, field)
            text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
            os.environ.setdefault(self.variable(field), text.lower() if isinstance(value, bool) else text)
        ratio = DEPLOYED_RATIO if self.deployed else 1.0
        os.environ.setdefault(self.variable("traces_sampler"), self.traces_sampler)
        os.environ.setdefault(self.variable("traces_sampler_arg"), str(ratio))
