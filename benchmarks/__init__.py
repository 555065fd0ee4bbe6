"""Measurements of the rendered project against floors, in one run: `uv run --group benchmarks python -m benchmarks`."""
