"""Jobs and what else outlives a request."""
