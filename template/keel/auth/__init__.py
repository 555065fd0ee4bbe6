"""Auth: who is calling. Accounts, OAuth2 password login, short-lived JWTs, rotating refresh tokens, scopes."""

from fastapi import FastAPI


def install(app: FastAPI) -> None:
    """Add the endpoints and sign callers in.

    Raises:
        SettingsError: a key is missing or not good enough, or mail cannot be sent.
    """
    from keel.auth.lifecycle import install_auth

    install_auth(app)
