"""Notes as pages: rendered once for each version, and kept for a while."""

from app.examples.notes import rendering
from app.examples.notes.schemas import Note
from keel.messaging.cache import Cache

WORTH_KEEPING = 2000
"""Characters of a body from which on asking a shared cache costs a fraction of rendering it again (0.3 ms of 3)."""

KEPT_SECONDS = 3600.0

RENDERER = 1
"""Counts changes to how pages look, so that a release with a new look shows it at once."""


async def page(note: Note, owner: str, cache: Cache) -> str:
    """Return a note as an HTML document.

    The key names the version, so an old page is never shown, even where an invalidation is not heard. The tags are for
    what must not lie about any longer: `invalidate` them after the commit that changes or deletes a note.
    """
    if len(note.body) < WORTH_KEEPING:
        return await rendering.page(note.title, note.body)
    return await cache.get_or_compute(
        f"notes:page:{RENDERER}:{note.id}:{note.version}",
        str,
        lambda: rendering.page(note.title, note.body),
        ttl=KEPT_SECONDS,
        tags=[tag_of_note(str(note.id)), tag_of_owner(owner)],
    )


def tag_of_note(note_id: str) -> str:
    """Return the tag of what is kept of a note."""
    return f"note:{note_id}"


def tag_of_owner(owner: str) -> str:
    """Return the tag of what is kept of all notes of an owner."""
    return f"notes:{owner}"
