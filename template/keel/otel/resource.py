"""What telemetry says of where it comes from."""

import re
from uuid import uuid4

from opentelemetry.sdk.resources import OTELResourceDetector, Resource

from keel import about
from keel.otel.settings import TelemetrySettings


def describe(settings: TelemetrySettings) -> Resource:
    """Return service, version and place. What the environment says of them counts more.

    The instance is this process: several of them report the same metrics, which must not be taken for one.
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
