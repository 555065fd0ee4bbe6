"""Events as CloudEvents 1.0, and the schemas of their data."""
