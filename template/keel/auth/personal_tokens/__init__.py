"""Personal access tokens, for machines."""
