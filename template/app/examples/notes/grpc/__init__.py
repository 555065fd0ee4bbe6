"""Notes over gRPC: `keel.notes.v1.NotesService`, with the rules of `app/examples/notes/service.py`."""

from collections.abc import Sequence

import grpc
from fastapi import FastAPI

from app.examples.notes.grpc.servicer import NotesServicer
from app.examples.notes.grpc.stubs.keel.notes.v1 import notes_pb2, notes_pb2_grpc


def add_services(app: FastAPI, server: grpc.aio.Server) -> Sequence[str]:
    """Serve notes; return the full names of the services."""
    notes_pb2_grpc.add_NotesServiceServicer_to_server(NotesServicer(app), server)
    return [service.full_name for service in notes_pb2.DESCRIPTOR.services_by_name.values()]
