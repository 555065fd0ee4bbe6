"""Idempotency keys of callers who sign in."""

from httpx2 import AsyncClient

from keel.idempotency.route import REPLAYED
from keel.tests.auth.fixtures import NewPerson, NewToken, Person
from keel.tests.widgets.api import WIDGETS


async def test_callers_have_keys_of_their_own(
    anonymous: AsyncClient, ada: Person, new_person: NewPerson, new_token: NewToken
) -> None:
    """The same key of another caller is another key; so is that of the same caller with a token that may do less."""
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
