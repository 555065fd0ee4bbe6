"""Users, tokens and settings of auth."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from keel import clock
from keel.auth.accounts.passwords import Passwords
from keel.auth.dependencies import make_logins
from keel.auth.models import User
from keel.auth.settings import AuthSettings
from keel.auth.state import make_auth
from keel.services import services_of

ENVIRONMENT = {
    "AUTH_SIGNING_KEYS": "dGhlIGtleSBvZiB0aGUgdGVzdHMsIHdoaWNoIGlzIG5vIHNlY3JldA",
    # A port without a server: the mails of tests stay in `outbox`.
    "MAIL_URL": "smtp://127.0.0.1:1",
    "MAIL_SENDER": "no-reply@example.com",
    # A provider on a busy machine may take long.
    "AUTH_OIDC_TIMEOUT": "30",
    "AUTH_PUBLIC_URL": "https://front.example.com",
    # Cheap hashes keep tests fast.
    "AUTH_HASH_MEMORY": "8",
    "AUTH_HASH_TIME": "1",
    "AUTH_RATE_LIMIT_PER_ACCOUNT": "",
    "AUTH_RATE_LIMIT_PER_IP": "",
}

UNGUESSABLE = r"/auth/(browser|oidc/(callback|token)|password|refresh|register|token|verify)"
"""Operations that want an issued token or a good password; see `keel.testing.fuzzing`."""

PASSWORD = "correct horse battery staple"

AUTH = "/api/v1/auth"


@dataclass
class Person:
    """A user with an account and tokens."""

    email: str
    subject: str
    tokens: dict[str, str]

    @property
    def headers(self) -> dict[str, str]:
        """Return request headers."""
        return {"Authorization": f"Bearer {self.tokens['access_token']}"}


NewPerson = Callable[..., Awaitable[Person]]
NewToken = Callable[..., Awaitable[str]]
Configure = Callable[..., FastAPI]


@pytest.fixture(scope="session")
async def password_hash(environment: None, anyio_backend: object) -> str:
    """Return the hash of the password of all test users."""
    return await Passwords(AuthSettings.load()).hash(PASSWORD)


@pytest.fixture
def new_person(app: FastAPI, password_hash: str) -> NewPerson:
    """Return a function that creates an account, and a login if it may have one, without hashing a password."""

    async def make(email: str = "ada@example.com", **fields: object) -> Person:
        now = clock.now()
        async with services_of(app).database.transaction() as session:
            user = User(email=email, password_hash=password_hash, verified_at=now, created_at=now)
            for name, value in fields.items():
                setattr(user, name, value)
            session.add(user)
            await session.flush()
            may_log_in = user.is_active and user.verified_at is not None
            login = await make_logins(app, session).open(user, "", user_agent="") if may_log_in else None
        return Person(email, user.subject, login.model_dump() if login else {})

    return make


@pytest.fixture
def configure(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> Iterator[Configure]:
    """Return a function that changes the settings of auth for one test."""

    def run(**variables: str) -> FastAPI:
        for name, value in variables.items():
            monkeypatch.setenv(f"AUTH_{name}", value)
        services_of(app).auth = make_auth(AuthSettings.load(), auth.account_data)
        return app

    auth = services_of(app).auth
    yield run
    services_of(app).auth = auth


@pytest.fixture
async def ada(new_person: NewPerson) -> Person:
    """Return a user."""
    return await new_person()


@pytest.fixture
async def admin(new_person: NewPerson) -> Person:
    """Return an administrator."""
    return await new_person("admin@example.com", is_admin=True)


@pytest.fixture
async def new_token(app: FastAPI, anonymous: AsyncClient) -> AsyncIterator[NewToken]:
    """Return a function that creates personal access tokens; their uses are written before the test ends."""

    async def make(person: Person, **fields: object) -> str:
        body = {"name": "machine", "scope": "widgets:read", **fields}
        return (await anonymous.post(f"{AUTH}/tokens", json=body, headers=person.headers)).json()["token"]

    yield make
    await services_of(app).personal_tokens.usage.settle()
