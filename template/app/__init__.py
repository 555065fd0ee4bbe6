"""The application: `main` is its HTTP entry, `__main__` the operator's command line."""
