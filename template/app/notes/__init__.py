"""Notes: the reference slice, with everything that a real resource has. Copy its shape for your own."""

from fastapi import FastAPI


def install(app: FastAPI) -> None:
    """Add the endpoints. Imports wait until here, so that every module can be imported alone."""
    from app.notes.events import router as events
    from app.notes.export import NoteExporter
    from app.notes.ownership import NoteRows
    from app.notes.router import router

    app.state.scopes |= {"notes:read": "Read your notes", "notes:write": "Change your notes"}
    app.state.subjects.register(NoteRows(app.state.cache))
    app.state.exports.register("notes", NoteExporter())
    app.include_router(events, prefix="/api/v1")
    app.include_router(router, prefix="/api/v1")
