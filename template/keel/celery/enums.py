"""The states of a task."""

from enum import StrEnum


class TaskState(StrEnum):
    """The state of a task."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def finished(self) -> bool:
        """Whether the state is final."""
        return self not in UNFINISHED


UNFINISHED = frozenset({TaskState.PENDING, TaskState.RUNNING})
