"""Benchmarks of rendered projects against floors: `uv run --group benchmarks python -m benchmarks`."""
