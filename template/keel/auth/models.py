"""Tables of accounts, logins and tokens."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import Boolean, ForeignKey, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column
from uuid_utils.compat import uuid7

from keel.db.models import Base


class User(Base):
    """An account."""

    __tablename__ = "auth_users"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    subject: Mapped[str] = mapped_column(String(255), unique=True, default=lambda: str(uuid4()))
    """Owns rows of other tables: random, never changed, never reused."""
    email: Mapped[str] = mapped_column(String(320), unique=True)
    password_hash: Mapped[str | None] = mapped_column(String(255))
    is_admin: Mapped[bool] = mapped_column(Boolean, default=False)
    scopes: Mapped[str | None] = mapped_column(String(1000))
    """The scopes that the account is limited to, separated by spaces; NULL means all but `admin`."""
    is_active: Mapped[bool] = mapped_column(Boolean, default=True)
    verified_at: Mapped[datetime | None]
    created_at: Mapped[datetime]


class DeletedAccount(Base):
    """A deleted account, until its access tokens have expired: rows that they have written since are deleted then."""

    __tablename__ = "auth_deleted_accounts"

    subject: Mapped[str] = mapped_column(String(255), primary_key=True)
    deleted_at: Mapped[datetime] = mapped_column(index=True)


class LoginSession(Base):
    """A login: a family of refresh tokens, which is revoked as a whole if one of them is reused."""

    __tablename__ = "auth_sessions"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("auth_users.id", ondelete="CASCADE"), index=True)
    scope: Mapped[str] = mapped_column(String(1000))
    user_agent: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[datetime]
    used_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    revoked_at: Mapped[datetime | None]


class RefreshToken(Base):
    """A refresh token, which can be used once."""

    __tablename__ = "auth_refresh_tokens"

    digest: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    session_id: Mapped[UUID] = mapped_column(ForeignKey("auth_sessions.id", ondelete="CASCADE"), index=True)
    used_at: Mapped[datetime | None]


class PersonalToken(Base):
    """A personal access token, valid until it expires or is revoked, which deletes it."""

    __tablename__ = "auth_personal_tokens"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("auth_users.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(100))
    digest: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    hint: Mapped[str] = mapped_column(String(8))
    scope: Mapped[str] = mapped_column(String(1000))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    last_used_at: Mapped[datetime | None]


class MailedToken(Base):
    """A token sent by e-mail, for one purpose and one use."""

    __tablename__ = "auth_mailed_tokens"
    __table_args__ = (Index(None, "user_id", "purpose"),)

    digest: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("auth_users.id", ondelete="CASCADE"))
    purpose: Mapped[str] = mapped_column(String(20))
    expires_at: Mapped[datetime] = mapped_column(index=True)


class Identity(Base):
    """An account's identity at an OpenID provider, by issuer and subject."""

    __tablename__ = "auth_identities"

    issuer: Mapped[str] = mapped_column(String(255), primary_key=True)
    provider_subject: Mapped[str] = mapped_column(String(255), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("auth_users.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime]


class SignInCode(Base):
    """A code that ends a sign-in by OpenID Connect, to be exchanged once for tokens."""

    __tablename__ = "auth_sign_in_codes"

    digest: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("auth_users.id", ondelete="CASCADE"), index=True)
    challenge: Mapped[str] = mapped_column(String(43))
    expires_at: Mapped[datetime] = mapped_column(index=True)
