"""`python -m app new`: writes a resource like the one in the guide `keel/docs/adding-a-resource.md`."""
