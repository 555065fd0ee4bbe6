"""The operator's commands for accounts."""

from typing import Annotated

import typer
from fastapi import FastAPI
from pydantic import TypeAdapter, ValidationError

from keel import clock
from keel.auth.accounts.passwords import WeakPassword
from keel.auth.accounts.repository import UserRepository
from keel.auth.accounts.schemas import Email
from keel.auth.models import User
from keel.auth.personal_tokens.repository import PersonalTokenRepository
from keel.auth.sessions.repository import SessionRepository
from keel.auth.state import Auth
from keel.caller import GUEST
from keel.db.database import Database
from keel.services import services_of

commands = typer.Typer(no_args_is_help=True, help="Accounts.")


def _address(value: str) -> str:
    try:
        return TypeAdapter(Email).validate_python(value)
    except ValidationError:
        raise typer.BadParameter("this is not an e-mail address") from None


Address = Annotated[str, typer.Argument(callback=_address, help="The account's e-mail address")]


@commands.command()
def create_admin(
    context: typer.Context,
    email: Address,
    password: Annotated[str, typer.Option(prompt=True, hide_input=True, confirmation_prompt=True)],
) -> None:
    """Create an administrator; prompts for the password. An existing account becomes one, with this password."""

    async def work(app: FastAPI) -> None:
        auth, database = Auth.of(app), _database(app)
        try:
            await auth.passwords.check(password, email)
        except WeakPassword as error:
            raise typer.BadParameter(error.detail) from None
        now, password_hash = clock.now(), await auth.passwords.hash(password)
        async with database.transaction() as session:
            user = await UserRepository(session).by_email(email)
            if user is None:
                user = User(email=email, created_at=now)
                session.add(user)
                await session.flush()
                await auth.account_data.create(session, user.subject, email)
            user.password_hash = password_hash
            user.is_admin = user.is_active = True
            user.verified_at = user.verified_at or now
            await session.flush()
            # Earlier logins and tokens may not be the administrator's.
            await SessionRepository(session).revoke_all(user.id, now)
            await PersonalTokenRepository(session).delete_all(user.id)
            auth.audit.event("administered", subject=user.subject, by="operator", is_admin=True)
        typer.echo(f"{email} is an administrator.")

    context.obj.run(work)


@commands.command()
def adopt_guest(
    context: typer.Context,
    to: Annotated[str, typer.Option(callback=_address, help="The account that becomes the owner")],
) -> None:
    """Assign data from before sign-in to an account."""

    async def work(app: FastAPI) -> None:
        async with _database(app).transaction() as session:
            user = await UserRepository(session).by_email(to)
            if user is None:
                raise typer.BadParameter(f"there is no account {to}")
            await Auth.of(app).account_data.transfer_ownership(session, GUEST.subject, user.subject)
        typer.echo(f"The guest's data now belongs to {to}.")

    context.obj.run(work)


def _database(app: FastAPI) -> Database:
    return services_of(app).database
