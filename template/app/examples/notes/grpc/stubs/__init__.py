"""Code that was generated from `protos/`; `uv run python -m keel.tests.grpc.stubs` makes it anew."""
