"""Code that was generated from `protos/`; `uv run python -m tests.rpc.stubs` makes it anew."""
