"""Tests of signing in with OpenID Connect, against a provider that serves on loopback."""
