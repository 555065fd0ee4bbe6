"""The base class of events: a Pydantic model of the data, with type and version."""

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from keel.hooks import PackageError


class Event(BaseModel):
    """Something that happened. The fields are the event's data.

        class BookLent(Event):
            aggregate_type = "books"
            event_type = "books.lent"

            id: UUID
            reader: str

    For a breaking change, add a class with the next version, and keep the old one for as long as any consumer reads it;
    `keel.kafka.cloudevents.compatibility` defines which changes are breaking.
    """

    # Fields that a later release of the publisher adds must not break consumers.
    model_config = ConfigDict(frozen=True, extra="ignore")

    aggregate_type: ClassVar[str]
    """What the event is about, such as `books`: the topic is `<prefix>.books`."""
    event_type: ClassVar[str]
    """CloudEvents' `type`, such as `books.lent`."""
    schema_version: ClassVar[int] = 1

    @classmethod
    def __pydantic_init_subclass__(cls, **options: Any) -> None:
        """Check that a subclass has a type.

        Raises:
            PackageError: `aggregate_type` or `event_type` is missing.
        """
        super().__pydantic_init_subclass__(**options)
        for name in ("aggregate_type", "event_type"):
            if not isinstance(getattr(cls, name, None), str):
                raise PackageError(f"{cls.__module__}.{cls.__qualname__}: an event needs a class attribute `{name}`.")

    @classmethod
    def schema_name(cls) -> str:
        """Return CloudEvents' `dataschema`: type and version."""
        return f"urn:event:{cls.event_type}:{cls.schema_version}"
