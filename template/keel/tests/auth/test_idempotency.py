"""Idempotency keys of callers who sign in."""

from httpx2 import AsyncClient

from keel.idempotency.route import REPLAYED
from keel.tests.auth.fixtures import NewPerson, NewToken, Person
from keel.tests.widgets.api import WIDGETS


async def test_keys_belong_to_caller_and_scopes(
    anonymous: AsyncClient, ada: Person, new_person: NewPerson, new_token: NewToken
) -> None:
    """The same key from another caller, or from a token with fewer scopes, is another key."""
    eve = await new_person("eve@example.com")
    writer = {"Authorization": f"Bearer {await new_token(ada, scope='widgets:write')}"}
    reader = {"Authorization": f"Bearer {await new_token(ada, scope='widgets:read')}"}

    async def post(headers: dict[str, str]) -> tuple[int, bool]:
        answer = await anonymous.post(WIDGETS, json={"title": "once"}, headers={**headers, "Idempotency-Key": "k"})
        return answer.status_code, REPLAYED in answer.headers

    assert [await post(headers) for headers in (ada.headers, eve.headers, writer)] == [(201, False)] * 3
    assert [await post(headers) for headers in (ada.headers, eve.headers, writer)] == [(201, True)] * 3
    assert await post(reader) == (403, False)
    assert await post({}) == (401, False)
