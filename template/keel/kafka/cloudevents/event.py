"""The base of events: the data as a Pydantic model, with a type and a version."""

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from keel.hooks import PackageError


class Event(BaseModel):
    """Something that has happened. The fields are the event's data.

        class BookLent(Event):
            aggregate_type = "books"
            event_type = "books.lent"

            id: UUID
            reader: str

    A change that would break consumers is a new class with the next version, beside the old one, as long as any consumer
    reads that; `keel.kafka.cloudevents.compatibility` says what breaks.
    """

    # What a later version of the publisher adds does not break a consumer.
    model_config = ConfigDict(frozen=True, extra="ignore")

    aggregate_type: ClassVar[str]
    """What it has happened to, such as `books`: the topic is `<prefix>.books`."""
    event_type: ClassVar[str]
    """CloudEvents' `type`, such as `books.lent`."""
    schema_version: ClassVar[int] = 1

    @classmethod
    def __pydantic_init_subclass__(cls, **options: Any) -> None:
        """Refuse a class without a type.

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
