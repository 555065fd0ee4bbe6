"""Registration, verification, passwords, deletion."""

import asyncio
import re
from datetime import timedelta

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient, Response
from sqlalchemy import update

from keel import clock
from keel.auth.models import DeletedAccount
from keel.auth.plugin import LATE_WRITES
from keel.db.database import Database
from keel.messaging.mail import Mail
from keel.observability import logs
from keel.services import services_of
from keel.settings import CoreSettings
from keel.testing.support import Outbox, eventually
from keel.tests.auth.fixtures import AUTH, PASSWORD, Configure, NewPerson, Person
from keel.tests.widgets.api import WIDGETS

EMAIL = "ada@example.com"
OTHER_PASSWORD = "seven purple walruses dancing"


async def mailed(outbox: Outbox) -> Mail:
    """Wait for the only mail that is sent, and return it."""
    await eventually(lambda: outbox.mails)
    (mail,) = outbox.mails
    outbox.mails.clear()
    return mail


def token_in(mail: Mail) -> str:
    """Return the token in a mail's link."""
    link = re.search(r"#token=([\w-]+)", mail.text)
    assert link
    assert link[0] in mail.html
    return link[1]


async def log_in(client: AsyncClient, password: str = PASSWORD, email: str = EMAIL, **fields: str) -> Response:
    """Try to log in."""
    return await client.post(f"{AUTH}/token", data={"username": email, "password": password, **fields})


async def test_register_verify_log_in(anonymous: AsyncClient, outbox: Outbox) -> None:
    """An account can be used once its address is confirmed, and not before."""
    registered = await anonymous.post(f"{AUTH}/register", json={"email": EMAIL})
    mail = await mailed(outbox)
    too_early = await log_in(anonymous)
    verified = await anonymous.post(f"{AUTH}/verify", json={"token": token_in(mail), "password": PASSWORD})
    logged_in = await log_in(anonymous)

    assert registered.status_code == 202
    assert mail.to == EMAIL
    assert too_early.status_code == 400
    assert verified.status_code == 204
    assert logged_in.status_code == 200
    assert set(logged_in.json()) == {"access_token", "token_type", "expires_in", "refresh_token", "scope"}


async def test_mailed_token_is_good_for_one_use(anonymous: AsyncClient, outbox: Outbox) -> None:
    """A link works once."""
    await anonymous.post(f"{AUTH}/register", json={"email": EMAIL})
    token = token_in(await mailed(outbox))

    answers = [await anonymous.post(f"{AUTH}/verify", json={"token": token, "password": PASSWORD}) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [204, 400]
    assert answers[1].json()["type"] == "urn:problem:invalid-mailed-token"


async def test_mailed_token_is_good_for_one_purpose(anonymous: AsyncClient, outbox: Outbox) -> None:
    """A verification link cannot reset a password."""
    await anonymous.post(f"{AUTH}/register", json={"email": EMAIL})
    token = token_in(await mailed(outbox))

    answer = await anonymous.post(f"{AUTH}/password/reset", json={"token": token, "password": OTHER_PASSWORD})

    assert answer.status_code == 400


async def test_newer_mail_replaces_the_older_one(anonymous: AsyncClient, outbox: Outbox) -> None:
    """Only the latest link works."""
    await anonymous.post(f"{AUTH}/register", json={"email": EMAIL})
    older = token_in(await mailed(outbox))
    await anonymous.post(f"{AUTH}/verify/request", json={"email": EMAIL})
    newer = token_in(await mailed(outbox))

    assert (await anonymous.post(f"{AUTH}/verify", json={"token": older, "password": PASSWORD})).status_code == 400
    assert (await anonymous.post(f"{AUTH}/verify", json={"token": newer, "password": PASSWORD})).status_code == 204


async def test_mailed_token_expires(anonymous: AsyncClient, outbox: Outbox, configure: Configure) -> None:
    """An expired link is refused."""
    configure(VERIFY_HOURS="0.0000001")
    await anonymous.post(f"{AUTH}/register", json={"email": EMAIL})
    token = token_in(await mailed(outbox))

    assert (await anonymous.post(f"{AUTH}/verify", json={"token": token, "password": PASSWORD})).status_code == 400


@pytest.mark.parametrize("path", ["register", "password/forgot", "verify/request"])
async def test_addresses_are_not_revealed(anonymous: AsyncClient, ada: Person, outbox: Outbox, path: str) -> None:
    """For known and unknown addresses, the responses are identical, headers included."""
    known = await anonymous.post(f"{AUTH}/{path}", json={"email": ada.email})
    unknown = await anonymous.post(f"{AUTH}/{path}", json={"email": "nobody@example.com"})

    changing = {"x-request-id", "ratelimit"}
    assert known.status_code == unknown.status_code == 202
    assert known.content == unknown.content
    assert {k: v for k, v in known.headers.items() if k not in changing} == {
        k: v for k, v in unknown.headers.items() if k not in changing
    }


async def test_registering_a_known_address_notifies_its_owner(
    anonymous: AsyncClient, ada: Person, outbox: Outbox
) -> None:
    """The owner is notified, and the password does not change."""
    await anonymous.post(f"{AUTH}/register", json={"email": ada.email})
    mail = await mailed(outbox)

    assert mail.subject.endswith("You have an account already")
    assert (await log_in(anonymous, OTHER_PASSWORD)).status_code == 400
    assert (await log_in(anonymous)).status_code == 200


async def test_password_is_chosen_on_confirmation(anonymous: AsyncClient, outbox: Outbox) -> None:
    """Registering someone else's address, before or after they do, gives no access to the account."""
    for password in ("the password of a thief", None, "the password of a thief"):
        body = {"email": EMAIL, "password": password} if password else {"email": EMAIL}
        answer = await anonymous.post(f"{AUTH}/register", json=body)
        assert answer.status_code == (422 if password else 202)
    await mailed(outbox)
    await anonymous.post(f"{AUTH}/register", json={"email": EMAIL})
    token = token_in(await mailed(outbox))
    unsaid = await anonymous.post(f"{AUTH}/verify", json={"token": token})
    weak = await anonymous.post(f"{AUTH}/verify", json={"token": token, "password": "weak"})
    confirmed = await anonymous.post(f"{AUTH}/verify", json={"token": token, "password": PASSWORD})

    assert (unsaid.status_code, weak.status_code, confirmed.status_code) == (422, 422, 204)
    assert (await log_in(anonymous, "the password of a thief")).status_code == 400
    assert (await log_in(anonymous)).status_code == 200


async def test_older_confirmation_changes_no_password(anonymous: AsyncClient, outbox: Outbox) -> None:
    """Once a reset has confirmed the address, an older confirmation link is invalid."""
    await anonymous.post(f"{AUTH}/register", json={"email": EMAIL})
    confirmation = token_in(await mailed(outbox))
    await anonymous.post(f"{AUTH}/password/forgot", json={"email": EMAIL})
    reset = {"token": token_in(await mailed(outbox)), "password": PASSWORD}
    assert (await anonymous.post(f"{AUTH}/password/reset", json=reset)).status_code == 204
    answer = await anonymous.post(f"{AUTH}/verify", json={"token": confirmation, "password": OTHER_PASSWORD})

    assert (answer.status_code, answer.json()["type"]) == (400, "urn:problem:invalid-mailed-token")
    assert (await log_in(anonymous)).status_code == 200


async def test_concurrent_registrations(anonymous: AsyncClient, outbox: Outbox) -> None:
    """Concurrent registrations of one address create one account."""
    body = {"email": EMAIL}

    answers = await asyncio.gather(*(anonymous.post(f"{AUTH}/register", json=body) for _ in range(5)))

    assert {answer.status_code for answer in answers} == {202}


@pytest.mark.parametrize(
    "email",
    [
        "ada",
        "ada@",
        "@example.com",
        "ada@example",
        "ada@example.com\r\nBcc: victim@example.com",
        "ada@example.com, eve@example.com",
        "Ada <ada@example.com>",
        "аda@example.com",
        "ada\x00@example.com",
        "a" * 250 + "@example.com",
        '"very strange"@example.com',
    ],
)
async def test_strange_addresses(anonymous: AsyncClient, email: str) -> None:
    """Header injection, several addresses and look-alike letters are refused."""
    answer = await anonymous.post(f"{AUTH}/register", json={"email": email})

    assert answer.status_code == 422


async def test_address_in_another_script(anonymous: AsyncClient, admin: Person, outbox: Outbox) -> None:
    """An internationalized domain is the same in any spelling: at registration, at login, in an admin's search."""
    typed, stored = "ada@Bücher.example", "ada@xn--bcher-kva.example"
    await anonymous.post(f"{AUTH}/register", json={"email": typed})
    mail = await mailed(outbox)
    await anonymous.post(f"{AUTH}/verify", json={"token": token_in(mail), "password": PASSWORD})
    found = [
        [user["email"] for user in (await anonymous.get(f"/api/v1/users?q={q}", headers=admin.headers)).json()["items"]]
        for q in (typed, "bücher.example", "xn--bcher")
    ]

    assert mail.to == stored
    assert [(await log_in(anonymous, email=email)).status_code for email in (typed, stored)] == [200, 200]
    assert found == [[stored]] * 3


@pytest.mark.parametrize("email", ["ADA@EXAMPLE.COM", " ada@example.com", "Ada@Example.com"])
async def test_addresses_ignore_case(anonymous: AsyncClient, ada: Person, email: str) -> None:
    """An address in another case is the same account."""
    assert (await log_in(anonymous, email=email)).status_code == 200


@pytest.mark.parametrize(
    "password",
    [
        "short",
        "passwordpassword",
        "123456789012345",
        "ada@example.com ada",
        "aaaaaaaaaaaaaaaaaaaa",
        "qwertyuiopasdfghjkl",
    ],
)
async def test_weak_passwords(anonymous: AsyncClient, outbox: Outbox, password: str) -> None:
    """Short, common and personal passwords are refused, with a reason."""
    await anonymous.post(f"{AUTH}/register", json={"email": EMAIL})
    token = token_in(await mailed(outbox))
    answer = await anonymous.post(f"{AUTH}/verify", json={"token": token, "password": password})

    assert answer.status_code == 422
    assert answer.json()["type"] == "urn:problem:weak-password"


async def test_oversized_password(anonymous: AsyncClient) -> None:
    """Very long passwords are refused before they are hashed."""
    answer = await anonymous.post(f"{AUTH}/verify", json={"token": "any", "password": "x" * 257})

    assert answer.status_code == 422
    assert (await log_in(anonymous, "x" * 257)).status_code == 422


async def test_mass_assignment(anonymous: AsyncClient) -> None:
    """Registration cannot set other fields."""
    for extra in ({"is_admin": True}, {"scopes": ["admin"]}, {"verified_at": "2026-01-01T00:00:00Z"}):
        answer = await anonymous.post(f"{AUTH}/register", json={"email": EMAIL, **extra})
        assert answer.status_code == 422


async def test_closed_registration(anonymous: AsyncClient, configure: Configure) -> None:
    """Registration can be disabled by a setting."""
    configure(REGISTRATION="false")

    answer = await anonymous.post(f"{AUTH}/register", json={"email": EMAIL})

    assert answer.status_code == 403
    assert answer.json()["type"] == "urn:problem:registration-closed"


async def test_forgotten_password(anonymous: AsyncClient, ada: Person, outbox: Outbox) -> None:
    """A mailed link sets a new password and ends every login."""
    await anonymous.post(f"{AUTH}/password/forgot", json={"email": ada.email})
    token = token_in(await mailed(outbox))
    weak = await anonymous.post(f"{AUTH}/password/reset", json={"token": token, "password": "weak"})
    reset = await anonymous.post(f"{AUTH}/password/reset", json={"token": token, "password": OTHER_PASSWORD})

    assert (weak.status_code, reset.status_code) == (422, 204)
    assert (await mailed(outbox)).subject.endswith("Your password was changed")
    assert (await log_in(anonymous)).status_code == 400
    assert (await log_in(anonymous, OTHER_PASSWORD)).status_code == 200
    old = await anonymous.post(f"{AUTH}/refresh", json={"refresh_token": ada.tokens["refresh_token"]})
    assert old.status_code == 400


async def test_changed_password(anonymous: AsyncClient, ada: Person, outbox: Outbox) -> None:
    """After a password change, only the current login remains."""
    elsewhere = (await log_in(anonymous)).json()
    body = {"current": PASSWORD, "new": OTHER_PASSWORD}
    wrong = await anonymous.post(f"{AUTH}/password/change", json={**body, "current": "wrong"}, headers=ada.headers)
    right = await anonymous.post(f"{AUTH}/password/change", json=body, headers=ada.headers)

    assert (wrong.status_code, right.status_code) == (403, 204)
    assert (await mailed(outbox)).to == ada.email
    refreshed = [
        await anonymous.post(f"{AUTH}/refresh", json={"refresh_token": tokens["refresh_token"]})
        for tokens in (ada.tokens, elsewhere)
    ]
    assert [answer.status_code for answer in refreshed] == [200, 400]


async def test_deleted_account(anonymous: AsyncClient, ada: Person) -> None:
    """Deletion removes all data of the account and revokes its tokens."""
    await anonymous.post(WIDGETS, json={"title": "mine"}, headers=ada.headers)
    wrong = await anonymous.post(f"{AUTH}/me/delete", json={"password": "wrong"}, headers=ada.headers)
    right = await anonymous.post(f"{AUTH}/me/delete", json={"password": PASSWORD}, headers=ada.headers)

    assert (wrong.status_code, right.status_code) == (403, 204)
    assert (await log_in(anonymous)).status_code == 400
    assert (await anonymous.get(f"{AUTH}/me", headers=ada.headers)).status_code == 401
    assert (await anonymous.get(WIDGETS, headers=ada.headers)).json()["items"] == []


async def test_writes_after_the_deletion(app: FastAPI, anonymous: AsyncClient, ada: Person, database: Database) -> None:
    """Rows written by an access token after the deletion are purged once the token has expired."""
    await anonymous.post(f"{AUTH}/me/delete", json={"password": PASSWORD}, headers=ada.headers)
    await anonymous.post(WIDGETS, json={"title": "late"}, headers=ada.headers)
    retention = services_of(app).retention
    assert (await retention.run(database))["auth deleted accounts"] == 0
    long_ago = clock.now() - LATE_WRITES - timedelta(seconds=1)
    async with database.transaction() as session:
        await session.execute(update(DeletedAccount).values(deleted_at=long_ago))

    assert (await retention.run(database))["auth deleted accounts"] == 1
    assert (await anonymous.get(WIDGETS, headers=ada.headers)).json()["items"] == []
    assert (await retention.run(database))["auth deleted accounts"] == 0


async def test_reading_the_own_account(anonymous: AsyncClient, ada: Person) -> None:
    """Users can read their own account, without its secrets."""
    answer = await anonymous.get(f"{AUTH}/me", headers=ada.headers)

    assert answer.json()["email"] == ada.email
    assert "password" not in answer.text


async def test_addresses_are_not_logged(
    anonymous: AsyncClient, new_person: NewPerson, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Audit events name the action and the account, without address, password or token."""
    monkeypatch.setenv("LOG_LEVEL", "INFO")
    logs.configure(CoreSettings.load())
    await new_person()
    await log_in(anonymous, "wrong password")
    tokens = (await log_in(anonymous)).json()
    await anonymous.post(f"{AUTH}/refresh", json={"refresh_token": tokens["refresh_token"]})
    await anonymous.post(f"{AUTH}/refresh", json={"refresh_token": tokens["refresh_token"]})

    logged = capsys.readouterr().out
    for action in ("login_failed", "login", "refresh_token_reused"):
        assert f'"action":"{action}"' in logged
    for secret in (EMAIL, PASSWORD, "wrong password", tokens["refresh_token"], tokens["access_token"]):
        assert secret not in logged


@pytest.mark.parametrize("path", ["password/change", "me/delete"])
async def test_guessing_the_current_password(
    anonymous: AsyncClient, ada: Person, configure: Configure, path: str
) -> None:
    """Password guesses with a stolen token count as attempts; the right password resets the count."""
    configure(RATE_LIMIT_PER_ACCOUNT="3/15minute")

    async def attempt(password: str) -> Response:
        fields = {"password": password} if path == "me/delete" else {"current": password, "new": "weak"}
        return await anonymous.post(f"{AUTH}/{path}", json=fields, headers=ada.headers)

    if path == "password/change":
        assert [(await attempt(password)).status_code for password in ("no", "no", PASSWORD)] == [403, 403, 422]
    refused = [await attempt("wrong") for _ in range(4)]

    assert [answer.status_code for answer in refused] == [403, 403, 403, 429]
    assert int(refused[-1].headers["Retry-After"]) > 0
    assert (await attempt(PASSWORD)).status_code == 429
    assert (await log_in(anonymous)).status_code == 200
