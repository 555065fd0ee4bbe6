"""HTTP: errors, middleware, rate limits, documentation, health."""
