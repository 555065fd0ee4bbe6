"""The resource: the service, version, environment and process that telemetry comes from."""

import re
from uuid import uuid4

from opentelemetry.sdk.resources import OTELResourceDetector, Resource

from keel import about
from keel.otel.settings import OtelSettings


def describe(settings: OtelSettings) -> Resource:
    """Return the resource; `OTEL_RESOURCE_ATTRIBUTES` takes precedence.

    `service.instance.id` differs per process: several processes export the same metrics, which must stay separate series.
    """
    name = settings.service_name or re.sub(r"[^a-z0-9]+", "-", about.NAME.lower()).strip("-") or "app"
    ours = Resource(
        {
            "service.name": name,
            "service.version": about.VERSION,
            "service.instance.id": str(uuid4()),
            "deployment.environment.name": settings.environment.value,
        }
    )
    return Resource.create().merge(ours).merge(OTELResourceDetector().detect())
