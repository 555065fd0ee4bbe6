"""The operator's commands for accounts."""

import anyio.to_thread
import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from typer.testing import CliRunner, Result

from keel.auth.accounts.seeding import DEMO
from keel.caller import GUEST
from keel.identity import seed_owner
from keel.ops import cli
from keel.packages import find_package
from keel.services import services_of
from keel.tests.application import create_app
from keel.tests.auth.fixtures import AUTH, PASSWORD, Person
from keel.tests.widgets.api import WIDGETS, titles
from keel.tests.widgets.schemas import WidgetCreate
from keel.tests.widgets.service import WidgetService

pytestmark = pytest.mark.usefixtures("app")


def run(*arguments: str, typed: str = "") -> Result:
    """Run a command with the given input."""
    return CliRunner().invoke(cli.build(create_app, "app"), ["auth", *arguments], input=typed)


async def run_in_thread(*arguments: str, typed: str = "") -> Result:
    """Run a command in a thread, because it starts its own event loop."""
    return await anyio.to_thread.run_sync(lambda: run(*arguments, typed=typed))


async def test_create_admin(anonymous: AsyncClient) -> None:
    """The password is typed twice and never shown; the administrator can log in."""
    result = await run_in_thread("create-admin", "Root@Example.com", typed=f"{PASSWORD}\n{PASSWORD}\n")
    answer = await anonymous.post(f"{AUTH}/token", data={"username": "root@example.com", "password": PASSWORD})

    assert result.exit_code == 0, result.output
    assert PASSWORD not in result.output
    assert "admin" in answer.json()["scope"].split()


async def test_create_admin_from_an_account(anonymous: AsyncClient, ada: Person) -> None:
    """An existing account becomes an administrator's; its logins end."""
    result = await run_in_thread("create-admin", ada.email, typed=f"{PASSWORD}\n{PASSWORD}\n")
    answer = await anonymous.post(f"{AUTH}/token", data={"username": ada.email, "password": PASSWORD})

    assert result.exit_code == 0
    assert "admin" in answer.json()["scope"].split()
    old = await anonymous.post(f"{AUTH}/refresh", json={"refresh_token": ada.tokens["refresh_token"]})
    assert old.status_code == 400


@pytest.mark.parametrize(("email", "password"), [("nonsense", PASSWORD), ("root@example.com", "weak")])
def test_create_admin_rejects_weak_passwords(email: str, password: str) -> None:
    """Password rules apply to operators, too."""
    assert run("create-admin", email, typed=f"{password}\n{password}\n").exit_code == 2


async def test_adopt_guest(app: FastAPI, anonymous: AsyncClient, ada: Person) -> None:
    """Data from before sign-in is assigned to an account."""
    await anonymous.post(WIDGETS, json={"title": "own"}, headers=ada.headers)
    async with services_of(app).database.transaction() as session:
        widgets = WidgetService(session, GUEST, services_of(app).pubsub)
        await widgets.create(WidgetCreate(title="of the guest"))

    result = await run_in_thread("adopt-guest", "--to", ada.email)

    anonymous.headers.update(ada.headers)
    assert result.exit_code == 0, result.output
    assert await titles(anonymous) == ["of the guest", "own"]


def test_adopt_guest_to_an_unknown_address() -> None:
    """An unknown address changes nothing."""
    assert run("adopt-guest", "--to", "nobody@example.com").exit_code == 2


def seed(*arguments: str) -> Result:
    """Add a demonstration widget."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli, "all_packages", lambda _: [find_package("keel.tests.widgets")])
        return CliRunner().invoke(cli.build(create_app, "app"), ["seed", "--count", "1", *arguments])


async def test_seed_for_a_new_account(anonymous: AsyncClient) -> None:
    """Seed rows belong to an account that is created for them, with a printed password."""
    first, second = [await anyio.to_thread.run_sync(seed) for _ in range(2)]
    password = first.output.split()[-1]
    answer = await anonymous.post(f"{AUTH}/token", data={"username": DEMO, "password": password})
    anonymous.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    assert await titles(anonymous) == ["Widget 1"] * 2
    assert password not in second.output


async def test_seed_for_an_account(anonymous: AsyncClient, ada: Person) -> None:
    """Seed rows belong to the named account, which must exist."""
    results = [await anyio.to_thread.run_sync(seed, "--owner", email) for email in (ada.email, "no@example.com")]
    anonymous.headers |= ada.headers

    assert [result.exit_code for result in results] == [0, 2]
    assert "there is no account no@example.com" in results[1].output
    assert await titles(anonymous) == ["Widget 1"]


async def test_seed_creates_no_account_in_deployments(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    """No account is created unless asked for."""
    services = services_of(app)
    monkeypatch.setattr(services, "settings", services.settings.model_copy(update={"environment": "production"}))

    with pytest.raises(LookupError, match="--owner"):
        await seed_owner(app, None)
