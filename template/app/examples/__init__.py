"""Examples of packages: copy their shape, leave the originals alone."""
