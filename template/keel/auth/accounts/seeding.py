"""The owner of demonstration rows: with sign-in, no caller sees the guest's rows."""

import secrets

from fastapi import FastAPI

from keel import clock
from keel.auth.accounts.repository import UserRepository
from keel.auth.models import User
from keel.auth.state import Auth
from keel.caller import Caller
from keel.services import services_of

DEMO = "demo@example.com"


async def seed_owner(app: FastAPI, email: str | None) -> tuple[Caller, str]:
    """Return the owner of demonstration rows, and a sentence about it: an account, or a new one with a random password.

    Raises:
        LookupError: there is no account of the address, or none is named outside local environments.
    """
    services, auth = services_of(app), Auth.of(app)
    if email is None and services.settings.deployed:
        raise LookupError("name the account that will own the rows: --owner you@example.com")
    password = secrets.token_urlsafe(12)
    hashed, now = await auth.passwords.hash(password), clock.now()
    async with services.database.transaction() as session:
        user = await UserRepository(session).by_email(email or DEMO)
        if user is not None:
            return Caller(user.subject), f"The rows belong to {user.email}."
        if email is not None:
            raise LookupError(f"there is no account {email}")
        user = User(email=DEMO, password_hash=hashed, verified_at=now, created_at=now)
        session.add(user)
        await session.flush()
        await auth.account_data.create(session, user.subject, DEMO)
    return Caller(user.subject), f"The rows belong to {DEMO}, a new account with the password {password}"
