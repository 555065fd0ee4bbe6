"""Auth: accounts, OAuth2 password login, JWT access tokens, rotating refresh tokens, scopes, OpenID Connect."""

from fastapi import FastAPI


def install(app: FastAPI) -> None:
    """Install the plugin; its modules are loaded only then."""
    from keel.auth import plugin

    plugin.install(app)
