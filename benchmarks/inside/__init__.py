"""Programs that run in the environment of a rendered project, from its folder; `benchmarks.*` starts them."""
