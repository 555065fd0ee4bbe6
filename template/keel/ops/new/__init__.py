"""`python -m app new`: writes a resource as the guide `keel/docs/adding-a-resource.md` shows it."""
