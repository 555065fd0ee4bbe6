"""The library, whose packages are nested."""
