"""Ships: the owner's own package."""
