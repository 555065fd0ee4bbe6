"""Notes: the reference slice, with everything that a real resource has. Copy its shape for your own."""
