"""Sign in with OpenID Connect: any provider that publishes a discovery document. Absent unless `AUTH_OIDC_ISSUER` is set."""
