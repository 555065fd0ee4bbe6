"""How many tokens a caller has used today, and how many are left."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from keel import clock
from keel.db.database import ReadSession, Session
from keel.llm.model.turns import Usage
from keel.llm.repository import UsageRepository
from keel.web.errors import TooManyRequests

ANSWERS = "answers"
"""The purpose of tokens that callers asked for; others are the name of a job."""

POLICY = "llm-tokens"


class TokensUsedUp(TooManyRequests):
    """The caller has used the tokens of the day; `Retry-After` gives the wait in seconds."""

    type = "urn:problem:tokens-used-up"


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left of a caller's tokens today."""

    left: int | None
    """None: there is no limit."""
    seconds: int
    """Until there are more."""

    @property
    def headers(self) -> dict[str, str]:
        """Tell it as draft-ietf-httpapi-ratelimit-headers has it."""
        return {} if self.left is None else {"RateLimit": f'"{POLICY}";r={self.left};t={self.seconds}'}


class TokenBudget:
    """The tokens of a day."""

    def __init__(self, tokens_per_day: int) -> None:
        self._tokens = tokens_per_day

    async def check(self, session: Session | ReadSession, owner_id: str) -> Allowance:
        """Return what is left.

        Raises:
            TokensUsedUp: nothing is.
        """
        if not self._tokens:
            return Allowance(None, 0)
        now = clock.now()
        tomorrow = datetime.combine(now.date() + timedelta(days=1), datetime.min.time(), UTC)
        used = await UsageRepository(session).total(owner_id, now.date())
        allowance = Allowance(max(0, self._tokens - used), int((tomorrow - now).total_seconds()) + 1)
        if not allowance.left:
            headers = {**allowance.headers, "Retry-After": str(allowance.seconds)}
            raise TokensUsedUp("You have used your tokens of today; see `Retry-After`.", headers=headers)
        return allowance

    async def spend(self, session: Session, owner_id: str, usage: Usage, purpose: str = ANSWERS) -> None:
        """Count tokens, in the transaction that stores what they were used for."""
        if usage.total:
            await UsageRepository(session).add_tokens(owner_id, clock.now().date(), purpose, usage)
