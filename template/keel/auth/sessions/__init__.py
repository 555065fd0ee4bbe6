"""Logins: password grant, access tokens (JWT), rotating refresh tokens, the browser's cookie."""
