"""The client of the OpenID provider."""
