"""Auth: accounts, OAuth2 password login, JWT access tokens, rotating refresh tokens, scopes, OpenID Connect."""
