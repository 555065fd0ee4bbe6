"""Verification of personal access tokens."""

from collections import OrderedDict

from keel import clock
from keel.auth.digests import digest
from keel.auth.personal_tokens.format import is_well_formed
from keel.auth.personal_tokens.repository import PersonalTokenReader
from keel.auth.personal_tokens.usage import EVERY, PersonalTokenUsage, Use
from keel.auth.sessions.access_tokens import InvalidToken
from keel.auth.sessions.service import ADMIN
from keel.caller import Caller
from keel.db.database import Database

_REMEMBERED = 10_000
"""Tokens whose subjects are cached (LRU)."""


class PersonalTokenCallers:
    """Verifies each token by a query, so that revocation takes effect at once."""

    def __init__(self, usage: PersonalTokenUsage) -> None:
        self.usage = usage
        self._subjects: OrderedDict[bytes, str] = OrderedDict()

    async def verify(self, token: str, database: Database) -> Caller:
        """Return the caller of a token.

        Raises:
            InvalidToken: it is malformed, unknown, expired or revoked, or its account is closed.
            Unavailable: the database does not answer.
        """
        if not is_well_formed(token):
            raise InvalidToken
        hashed, now = digest(token), clock.now()
        found = await PersonalTokenReader(database.read).valid(hashed, now)
        if found is None:
            self._subjects.pop(hashed, None)
            raise InvalidToken
        self._remember(hashed, found.subject)
        if found.last_used_at is None or found.last_used_at <= now - EVERY:
            self.usage.note(database, Use(found.id, found.subject, now, first=found.last_used_at is None))
        scopes = frozenset(found.scope.split())
        # `admin` requires that the account is still an administrator.
        return Caller(found.subject, scopes if found.is_admin else scopes - {ADMIN})

    def counted_as(self, token: str) -> str | None:
        """Return the rate-limit key of a token's owner, without a query.

        None if the token has not succeeded in this process. So requests with made-up tokens count against
        their address: a new token for each request gains nothing.
        """
        subject = self._subjects.get(digest(token))
        return f"subject:{subject}" if subject is not None else None

    def _remember(self, hashed: bytes, subject: str) -> None:
        self._subjects[hashed] = subject
        self._subjects.move_to_end(hashed)
        if len(self._subjects) > _REMEMBERED:
            self._subjects.popitem(last=False)
