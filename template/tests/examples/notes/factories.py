"""Notes for tests that do not care about their contents."""

from polyfactory import Use
from polyfactory.factories.pydantic_factory import ModelFactory

from app.examples.notes.schemas import NoteCreate


class NoteCreateFactory(ModelFactory[NoteCreate]):
    """Makes notes; a test names the fields that matter to it."""

    title = Use(lambda: f"Note {NoteCreateFactory.__random__.randint(1, 999)}")
    body = "It says nothing in particular."
    tags = Use(list)
