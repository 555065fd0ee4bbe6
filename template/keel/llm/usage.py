"""How many tokens a caller has used today, and how many are left."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from keel import clock
from keel.db.database import ReadSession, Session
from keel.llm.model.turns import Usage
from keel.llm.repository import UsageRepository
from keel.web.errors import TooManyRequests

ANSWERS = "answers"
"""The purpose of tokens spent on answers; others are names of jobs."""

POLICY = "llm-tokens"


class TokensUsedUp(TooManyRequests):
    """The caller has used up the day's tokens; `Retry-After` gives the wait in seconds."""

    type = "urn:problem:tokens-used-up"


@dataclass(frozen=True, slots=True)
class Allowance:
    """A caller's remaining tokens of today."""

    left: int | None
    """None without a limit."""
    seconds: int
    """Seconds until the limit is reset."""

    @property
    def headers(self) -> dict[str, str]:
        """Return the headers of draft-ietf-httpapi-ratelimit-headers."""
        return {} if self.left is None else {"RateLimit": f'"{POLICY}";r={self.left};t={self.seconds}'}


class TokenBudget:
    """The limit of tokens per caller and day."""

    def __init__(self, tokens_per_day: int) -> None:
        self._tokens = tokens_per_day

    async def check(self, session: Session | ReadSession, owner_id: str) -> Allowance:
        """Return the caller's remaining tokens.

        Raises:
            TokensUsedUp: none are left.
        """
        if not self._tokens:
            return Allowance(None, 0)
        now = clock.now()
        tomorrow = datetime.combine(now.date() + timedelta(days=1), datetime.min.time(), UTC)
        used = await UsageRepository(session).total(owner_id, now.date())
        allowance = Allowance(max(0, self._tokens - used), int((tomorrow - now).total_seconds()) + 1)
        if not allowance.left:
            headers = {**allowance.headers, "Retry-After": str(allowance.seconds)}
            raise TokensUsedUp("You have used up today's tokens; see `Retry-After`.", headers=headers)
        return allowance

    async def spend(self, session: Session, owner_id: str, usage: Usage, purpose: str = ANSWERS) -> None:
        """Count tokens, in the transaction that stores the result they were spent on."""
        if usage.total:
            await UsageRepository(session).add_tokens(owner_id, clock.now().date(), purpose, usage)
