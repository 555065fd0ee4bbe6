"""The services of this package: `services_of(app).celery`."""

from collections.abc import Mapping
from dataclasses import dataclass

from keel.celery.export.exporters import Exporter
from keel.celery.settings import CelerySettings
from keel.celery.tasks.executor import Executor
from keel.celery.tasks.jobs import DurableJobs


@dataclass(frozen=True, slots=True)
class CeleryServices:
    """Settings, and the objects that run tasks."""

    settings: CelerySettings
    jobs: DurableJobs
    executor: Executor
    exporters: Mapping[str, Exporter]
    """Exporters by kind."""
