"""The table of stored responses."""

from datetime import datetime

from sqlalchemy import JSON, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from keel.db.models import Base


class StoredAnswer(Base):
    """The response to a request with a key. Until the request is done, only its own transaction sees the row."""

    __tablename__ = "idempotency_answers"

    subject: Mapped[str] = mapped_column(String(255), primary_key=True)
    key_digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    """SHA-256 of the key and the caller's scopes: a token with fewer scopes does not get responses beyond them."""

    request_digest: Mapped[str] = mapped_column(String(64))
    """SHA-256 of method, path, query, content type and body."""

    status: Mapped[int]
    headers: Mapped[list[tuple[str, str]]] = mapped_column(JSON)
    """Names and values in their order; a name may occur twice, as `set-cookie` does."""

    body: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(index=True)
