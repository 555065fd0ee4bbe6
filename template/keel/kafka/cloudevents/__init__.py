"""Events as CloudEvents 1.0, and their schemas."""
