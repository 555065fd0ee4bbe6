"""The template's own tests: every combination of answers is rendered, checked and run."""
