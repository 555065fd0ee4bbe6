"""The operator's command line, and tools for operations."""
